"""`snellen browse`: a folder of pictures with scores, in a browser: groups, own decisions, sidecars."""
