"""XMP packets: properties are read, and set in place: every other byte of the packet stays as it is.

Only simple properties of the picture itself are handled: an attribute or a child of an rdf:Description under rdf:RDF
(XMP specification part 1, ISO 16684-1, section 7.4). Structures, arrays and what lies inside them are not touched.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
PREFIXES = {
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xmp/1.0/DynamicMedia/": "xmpDM",
    "http://www.digikam.org/ns/1.0/": "digiKam",
}
"""Usual prefixes of the namespaces that a packet may have to declare."""
LARGEST = 64 * 2**20
"""Bytes of the largest packet that is read; darktable's longest histories take a few million."""

Name = tuple[str, str]
"""Namespace and local name of a property."""

_ATTRIBUTE = re.compile(rb"""(\s+)([^\s=/>"']+)\s*=\s*("[^"]*"|'[^']*')""")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(rb"""\A<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")


class XmpError(ValueError):
    """A packet that cannot be read, or changed without risk. The text says why, without a file name."""


@dataclass
class _Property:
    """A property as it is written. value: its text; start, stop: its bytes; attribute: with the space before it."""

    name: Name
    value: str
    start: int
    stop: int
    attribute: bool
    written: bytes = b""
    simple: bool = True


@dataclass
class _Packet:
    """Places in a packet that `_Reader` found.

    Attributes:
        properties: the properties of the picture, in order.
        head: (start, stop) of the first rdf:Description's start tag.
        rdf: the same of rdf:RDF.
        scope: namespaces by prefix that are declared at `head`.
        rdf_prefix: prefix of rdf:RDF, "" for none.
    """

    properties: list[_Property] = field(default_factory=list)
    head: tuple[int, int] | None = None
    rdf: tuple[int, int] | None = None
    scope: dict[str, str] = field(default_factory=dict)
    rdf_prefix: str = ""


def read_properties(data: bytes) -> dict[Name, str]:
    """Return the simple properties of a packet. Raises XmpError."""
    packet = _Reader(_utf8(data)[0]).packet
    return {one.name: one.value.strip() for one in packet.properties if one.simple}


def with_properties(data: bytes, values: Mapping[Name, str | None]) -> bytes:
    """Return the packet with properties set, or removed where the value is None; all other bytes are the same.

    A property keeps its form (attribute or element) and its prefix. A new one becomes an attribute of the first
    rdf:Description. Raises XmpError.
    """
    text, codec, mark = _utf8(data)
    packet = _Reader(text).packet
    edits: list[tuple[int, int, bytes]] = []
    missing = {name: value for name, value in values.items() if value is not None}
    for one in packet.properties:
        if one.name not in values:
            continue
        if not one.simple:
            raise XmpError(f"{one.written.decode()} is no plain value")
        missing.pop(one.name, None)
        edits.append((one.start, one.stop, _rewritten(text, one, values[one.name])))
    if missing:
        edits.append(_insertion(text, packet, missing))
    for start, stop, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[stop:]
    changed = mark + text.decode("utf-8").encode(codec)
    expected = {**read_properties(data), **values}
    if read_properties(changed) != {name: value for name, value in expected.items() if value is not None}:
        raise XmpError("it is written in a way that cannot be changed safely")
    return changed


def new_packet(values: Mapping[Name, str]) -> bytes:
    """Return a packet with these properties, in UTF-8."""
    spaces = {space for space, _ in values}
    declared = "".join(f'\n    xmlns:{PREFIXES[space]}="{space}"' for space in sorted(spaces))
    written = "".join(f"\n   {PREFIXES[space]}:{local}={quoteattr(value)}" for (space, local), value in values.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}">\n  <rdf:Description rdf:about=""{declared}{written}/>\n'
        " </rdf:RDF>\n</x:xmpmeta>\n"
    ).encode()


def _utf8(data: bytes) -> tuple[bytes, str, bytes]:
    """Return the packet in UTF-8 without a byte order mark, its codec, and its mark."""
    if len(data) > LARGEST:
        raise XmpError(f"{len(data)} bytes are too many for a sidecar")
    mark, codec = next((one for one in _MARKS if data.startswith(one[0])), (b"", ""))
    body = data[len(mark) :]
    if not codec:
        declared = _DECLARED.match(body)
        codec = declared[1].decode() if declared else "utf-8"
    try:
        text = body.decode(codec)
        if text.encode(codec) != body:
            raise XmpError(f"its encoding {codec} does not survive a change")
        return text.encode("utf-8"), codec, mark
    except (LookupError, UnicodeError) as error:
        raise XmpError(f"it is no text in {codec}") from error


class _Reader:
    """Parser of one packet that notes where the simple properties are written."""

    def __init__(self, text: bytes) -> None:
        self.packet = _Packet()
        self._text = text
        self._depth = 0
        self._rdf_depth = self._description_depth = -1
        self._open: _Property | None = None
        self._scope: dict[str, list[str]] = {}
        parser = expat.ParserCreate("UTF-8", " ")
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartNamespaceDeclHandler = self._declare
        parser.EndNamespaceDeclHandler = self._forget
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser = parser
        try:
            parser.Parse(text, True)
        except expat.ExpatError as error:
            raise XmpError(f"it is no XML ({error})") from error
        if self.packet.rdf is None:
            raise XmpError("it has no rdf:RDF")

    def _refuse_doctype(self, *_: Any) -> None:
        raise XmpError("it has a document type, which XMP does not allow")

    def _declare(self, prefix: str | None, space: str | None) -> None:
        self._scope.setdefault(prefix or "", []).append(space or "")

    def _forget(self, prefix: str | None) -> None:
        self._scope[prefix or ""].pop()

    def _start(self, name: str, attributes: list[str]) -> None:
        space, _, local = name.rpartition(" ")
        start = self._parser.CurrentByteIndex
        stop = _tag_end(self._text, start)
        if self._open is not None:
            self._open.simple = False
        elif (space, local) == (RDF, "RDF") and self.packet.rdf is None:
            self.packet.rdf = (start, stop)
            self._rdf_depth = self._depth
            self.packet.rdf_prefix = _tag_name(self._text, start).rpartition(":")[0]
        elif (space, local) == (RDF, "Description") and self._depth == self._rdf_depth + 1 > 0:
            self._description_depth = self._depth
            self._attributes(start, stop, dict(zip(attributes[::2], attributes[1::2], strict=True)))
        elif self._depth == self._description_depth + 1 > 0:
            written = _tag_name(self._text, start).encode()
            self._open = _Property((space, local), "", start, stop, False, written, simple=not attributes)
        self._depth += 1

    def _attributes(self, start: int, stop: int, values: dict[str, str]) -> None:
        if self.packet.head is None:
            self.packet.head = (start, stop)
            self.packet.scope = {prefix: spaces[-1] for prefix, spaces in self._scope.items() if spaces}
        at = start + 1 + len(_tag_name(self._text, start).encode())
        while found := _ATTRIBUTE.match(self._text, at, stop):
            at = found.end()
            prefix, _, local = found[2].decode().rpartition(":")
            if prefix in ("", "xmlns", "xml"):
                continue
            space = self._scope[prefix][-1]
            if space == RDF:
                continue
            value = values[f"{space} {local}"]
            self.packet.properties.append(_Property((space, local), value, found.start(), found.end(), True, found[2]))

    def _characters(self, text: str) -> None:
        if self._open is not None:
            self._open.value += text

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._open is not None and self._depth == self._description_depth + 1:
            # of <a/> the parser gives the start of the tag once more
            self._open.stop = max(self._open.stop, _tag_end(self._text, self._parser.CurrentByteIndex))
            if re.search(rb"<[!?]", self._text[self._open.start : self._open.stop]):
                self._open.simple = False
            self.packet.properties.append(self._open)
            self._open = None
        if self._depth == self._description_depth:
            self._description_depth = -1
        if self._depth == self._rdf_depth:
            self._rdf_depth = -1


def _tag_name(text: bytes, start: int) -> str:
    found = re.compile(rb"<([^\s/>]+)").match(text, start)
    assert found is not None
    return found[1].decode()


def _tag_end(text: bytes, start: int) -> int:
    """Return the position after the tag that starts at `start`; a > inside an attribute's value does not end it."""
    found = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*>""").match(text, start)
    assert found is not None
    return found.end()


def _rewritten(text: bytes, one: _Property, value: str | None) -> bytes:
    """Return the bytes that replace a property. Removing an attribute removes the space before it."""
    old = text[one.start : one.stop]
    if value is None:
        return b""
    if one.attribute:
        quote = old[-1:]
        head = old[: old.index(quote) + 1]
        return head + escape(value, {'"': "&quot;", "'": "&apos;"}).encode() + quote
    if old.endswith(b"/>"):
        return old[:-2].rstrip() + b">" + escape(value).encode() + b"</" + one.written + b">"
    return old[: _tag_end(old, 0)] + escape(value).encode() + old[old.rindex(b"<") :]


def _insertion(text: bytes, packet: _Packet, values: Mapping[Name, str]) -> tuple[int, int, bytes]:
    """Return (start, stop, bytes) that add properties to the first rdf:Description, or such an element."""
    if packet.head is None:
        assert packet.rdf is not None
        prefix = f"{packet.rdf_prefix}:" if packet.rdf_prefix else ""
        at = packet.rdf[1]
        attributes = _written(values, {}, " ")
        element = f'\n  <{prefix}Description {packet.rdf_prefix or "rdf"}:about=""{attributes}/>'
        if text[at - 2 : at] == b"/>":
            return at - 2, at, f">{element}\n </{prefix}RDF>".encode()
        return at, at, element.encode()
    start, stop = packet.head
    at = stop - (2 if text[stop - 2 : stop] == b"/>" else 1)
    while text[at - 1 : at].isspace():
        at -= 1
    spaces = [found[1].decode() for found in _ATTRIBUTE.finditer(text, start, stop)]
    return at, at, _written(values, packet.scope, spaces[-1] if spaces else " ").encode()


def _written(values: Mapping[Name, str], scope: Mapping[str, str], space: str) -> str:
    """Return attributes, each after `space`, with the namespaces that are not in scope."""
    prefixes = {uri: prefix for prefix, uri in scope.items() if prefix}
    declared = ""
    for uri in sorted({uri for uri, _ in values} - prefixes.keys()):
        prefix = PREFIXES[uri]
        while prefix in scope or prefix in prefixes.values():
            prefix += "_"
        prefixes[uri] = prefix
        declared += f'{space}xmlns:{prefix}="{uri}"'
    return declared + "".join(
        f"{space}{prefixes[uri]}:{local}={quoteattr(value)}" for (uri, local), value in values.items()
    )
