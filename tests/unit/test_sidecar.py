"""XMP sidecars: decisions are merged into what other programs wrote, byte for byte, and never into what is damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.formats.xmp import XmpError, new_packet, read_properties, with_properties
from snellen.sidecar import (
    GOOD,
    PICK,
    PICK_LABEL,
    RATING,
    Decision,
    Naming,
    decision_of,
    plan,
    read_decision,
    sidecar_path,
    write,
)

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
XMP = 'xmlns:xmp="http://ns.adobe.com/xap/1.0/"'

DARKTABLE = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF {RDF}>
  <rdf:Description rdf:about=""
    {XMP}
    xmlns:darktable="http://darktable.sf.net/"
   xmp:Rating="1"
   darktable:history_end="2">
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:operation="exposure" darktable:params="a&gt;b" xmp:Rating="5"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
LIGHTROOM = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">\r\n <rdf:RDF ' + RDF + ">\r\n"
    '  <rdf:Description rdf:about=""\r\n    ' + XMP + '\r\n    xmlns:dc="http://purl.org/dc/elements/1.1/"\r\n'
    '   xmp:CreatorTool="Käse > 3">\r\n   <dc:subject><rdf:Bag><rdf:li>Straße</rdf:li></rdf:Bag></dc:subject>\r\n'
    "  </rdf:Description>\r\n </rdf:RDF>\r\n</x:xmpmeta>\r\n"
)
ELEMENTS = f"""<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<rdf:RDF {RDF}><rdf:Description rdf:about='' xmlns:a='http://ns.adobe.com/xap/1.0/'
 xmlns:digiKam='http://www.digikam.org/ns/1.0/'><a:Rating>3</a:Rating><digiKam:PickLabel>2</digiKam:PickLabel>
<!-- kept --></rdf:Description></rdf:RDF>
<?xpacket end='w'?>     """


def test_an_attribute_is_changed_and_nothing_else() -> None:
    changed = with_properties(DARKTABLE.encode(), {RATING: "4"})
    assert changed == DARKTABLE.replace('   xmp:Rating="1"', '   xmp:Rating="4"').encode()


def test_what_lies_inside_a_history_is_no_property_of_the_picture() -> None:
    assert read_properties(DARKTABLE.encode())[RATING] == "1"


def test_new_properties_are_laid_out_like_the_last_attribute_and_namespaces_declared_once() -> None:
    changed = with_properties(LIGHTROOM.encode(), {RATING: "-1", PICK: "-1", GOOD: "false"})
    added = (
        '\r\n   xmlns:xmpDM="http://ns.adobe.com/xmp/1.0/DynamicMedia/"'
        '\r\n   xmp:Rating="-1"\r\n   xmpDM:pick="-1"\r\n   xmpDM:good="false"'
    )
    assert changed == LIGHTROOM.replace('Käse > 3"', f'Käse > 3"{added}').encode()


def test_an_element_stays_an_element_with_its_prefix() -> None:
    changed = with_properties(ELEMENTS.encode(), {RATING: "5", PICK_LABEL: "0"})
    expected = ELEMENTS.replace("Rating>3<", "Rating>5<").replace("PickLabel>2<", "PickLabel>0<")
    assert changed == expected.encode()


def test_a_property_is_removed_with_the_space_before_it() -> None:
    assert with_properties(DARKTABLE.encode(), {RATING: None}) == DARKTABLE.replace('\n   xmp:Rating="1"', "").encode()


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_a_packet_keeps_its_encoding(codec: str) -> None:
    data = DARKTABLE.replace("UTF-8", codec.removesuffix("-sig")).encode(codec)
    changed = with_properties(data, {RATING: "2"})
    assert changed == DARKTABLE.replace("UTF-8", codec.removesuffix("-sig")).replace(
        '   xmp:Rating="1"', '   xmp:Rating="2"'
    ).encode(codec)


@pytest.mark.parametrize("empty", [f"<rdf:RDF {RDF}/>", f"<rdf:RDF {RDF}></rdf:RDF>"])
def test_a_packet_without_a_description_gets_one(empty: str) -> None:
    assert read_properties(with_properties(empty.encode(), {RATING: "3"})) == {RATING: "3"}


def test_a_prefix_that_means_something_else_is_not_used() -> None:
    other = f'<rdf:RDF {RDF}><rdf:Description rdf:about="" xmlns:xmp="urn:other" xmp:Rating="9"/></rdf:RDF>'
    changed = with_properties(other.encode(), {RATING: "3"})
    assert read_properties(changed)[RATING] == "3"
    assert read_properties(changed)["urn:other", "Rating"] == "9"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no XML"),
        (DARKTABLE.encode()[:-20], "no XML"),
        (b"<a/>", "no rdf:RDF"),
        (b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (b"\xff\xfe\x00", "no text"),
        (b'<?xml version="1.0" encoding="EBCDIC-XY"?><a/>', "no text"),
    ],
)
def test_what_is_no_packet_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(XmpError, match=problem):
        with_properties(data, {RATING: "3"})


def test_a_rating_with_qualifiers_is_not_touched() -> None:
    data = ELEMENTS.replace("<a:Rating>3<", "<a:Rating><rdf:Description/>3<").encode()
    with pytest.raises(XmpError, match="a:Rating is no plain value"):
        with_properties(data, {RATING: "3"})


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\t", exclude_categories=("Cc", "Cs")), max_size=8),
        max_size=4,
    ),
    st.integers(-1, 5),
)
def test_all_other_values_survive(values: list[str], rating: int) -> None:
    properties = {("http://ns.adobe.com/xap/1.0/", f"p{n}"): value for n, value in enumerate(values)}
    try:
        packet = new_packet(properties)
        before = read_properties(packet)
    except XmpError:  # a character that XML does not allow
        return
    assert read_properties(with_properties(packet, {RATING: str(rating)})) == before | {RATING: str(rating)}


@pytest.mark.parametrize(
    ("properties", "decision"),
    [
        ({}, Decision()),
        ({RATING: "0"}, Decision()),
        ({RATING: "-1"}, Decision("reject")),
        ({RATING: "3.0"}, Decision(None, 3)),
        ({RATING: "4", PICK: "1"}, Decision("accept", 4)),
        ({RATING: "4", GOOD: "True"}, Decision("accept", 4)),
        ({RATING: "4", PICK_LABEL: "2"}, Decision(None, 4)),
        ({RATING: "4", PICK: "1", PICK_LABEL: "1"}, Decision("reject")),
    ],
)
def test_decisions_of_other_programs_are_read(properties: dict[tuple[str, str], str], decision: Decision) -> None:
    assert decision_of(properties) == decision


def test_a_rating_of_6_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg.xmp").write_bytes(new_packet({RATING: "6"}))
    (change,) = plan({tmp_path / "a.jpg": Decision("accept")}, "full")
    assert change.what == "refused"
    assert "a.jpg.xmp: xmp:Rating is 6" in change.problem


@pytest.mark.parametrize(("naming", "name"), [("base", "a.xmp"), ("full", "a.CR2.xmp")])
def test_decisions_come_back_from_sidecars_of_both_namings(tmp_path: Path, naming: Naming, name: str) -> None:
    picture = tmp_path / "a.CR2"
    for decision in (Decision("accept", 4), Decision("reject"), Decision(None, 2), Decision("accept"), Decision()):
        (change,) = write(plan({picture: decision}, naming))
        assert change.what != "refused"
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert read_decision(picture, "full") == read_decision(picture, "base") == decision


def test_a_plan_writes_nothing_and_a_decision_that_is_there_already_changes_no_byte(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    sidecar = tmp_path / "a.jpg.xmp"
    sidecar.write_text(DARKTABLE)
    sidecar.chmod(0o640)
    (change,) = plan({picture: Decision(None, 5)}, "full")
    assert (change.what, change.before, sidecar.read_text()) == ("update", Decision(None, 1), DARKTABLE)
    write([change])
    assert sidecar.read_text() == DARKTABLE.replace('   xmp:Rating="1"', '   xmp:Rating="5"')
    assert os.name == "nt" or sidecar.stat().st_mode & 0o777 == 0o640
    assert plan({picture: Decision(None, 5)}, "full")[0].what == "same"
    assert plan({tmp_path / "b.jpg": Decision()}, "full")[0].what == "same"


def test_a_sidecar_that_changed_after_the_plan_is_left_alone(tmp_path: Path) -> None:
    changes = plan({tmp_path / "a.jpg": Decision(None, 5)}, "full")
    (tmp_path / "a.jpg.xmp").write_text(DARKTABLE)
    (done,) = write(changes)
    assert (done.what, (tmp_path / "a.jpg.xmp").read_text()) == ("refused", DARKTABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg.xmp"]


def test_an_existing_sidecar_in_capitals_is_merged(tmp_path: Path) -> None:
    (tmp_path / "a.XMP").write_text(DARKTABLE)
    assert sidecar_path(tmp_path / "a.CR2", "base").name.lower() == "a.xmp"
    assert read_decision(tmp_path / "a.CR2") == Decision(None, 1)


def test_pictures_that_share_a_sidecar_must_agree(tmp_path: Path) -> None:
    raw, jpeg = tmp_path / "a.CR2", tmp_path / "a.JPG"
    differ = plan({raw: Decision("accept"), jpeg: Decision("reject")}, "base")
    assert [change.what for change in differ] == ["refused", "refused"]
    assert "a.CR2 and a.JPG share a.xmp" in differ[0].problem
    assert [change.what for change in plan({raw: Decision("accept"), jpeg: Decision("accept")}, "base")] == ["create"]
    assert [change.what for change in plan({raw: Decision("accept"), jpeg: Decision("reject")}, "full")] == [
        "create", "create",
    ]  # fmt: skip


def test_a_rejected_picture_has_no_stars() -> None:
    with pytest.raises(ValueError, match="no stars"):
        Decision("reject", 3)
