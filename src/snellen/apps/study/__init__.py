"""`snellen study`: rating studies, from the plan to the judge's agreement with people. See docs/study.md."""
