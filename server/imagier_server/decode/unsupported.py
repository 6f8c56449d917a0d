# SPDX-License-Identifier: Apache-2.0
"""Recognises unsupported files by their first bytes: a sentence says what the file is and what to do, quoting nothing of it."""

from __future__ import annotations

_CONVERT = "convert it to JPEG or PNG"
_PAGES = "make a picture of each page"
_FRAMES = "take single frames of it"
_DEVELOP = "send the JPEG that the camera or a raw converter makes of it"
_RENDER = "render it as PNG"
_UNPACK = "unpack it, and send the pictures in it"
_NONE = "send the picture itself"

_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "a PDF document", _PAGES),
    (b"\xef\xbb\xbf%PDF-", "a PDF document", _PAGES),
    (b"%!PS", "a PostScript document", _PAGES),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document", _PAGES),
    (b"AT&TFORM", "a DjVu document", _PAGES),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document", _PAGES),
    (b"\xff\x0a", "a JPEG XL picture", _CONVERT),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture", _CONVERT),
    (b"II\xbc\x01", "a JPEG XR picture", _CONVERT),
    (b"\xff\xd8\xff\xf7", "a JPEG-LS picture", _CONVERT),
    (b"8BPS", "a Photoshop document", _CONVERT),
    (b"gimp xcf", "a GIMP document", _CONVERT),
    (b"\0\0\1\0", "an icon", _CONVERT),
    (b"\0\0\2\0", "a cursor", _CONVERT),
    (b"icns", "an icon", _CONVERT),
    (b"v/1\x01", "an OpenEXR picture", _CONVERT),
    (b"#?RADIANCE", "a Radiance picture", _CONVERT),
    (b"#?RGBE", "a Radiance picture", _CONVERT),
    (b"DDS ", "a DirectDraw surface", _CONVERT),
    (b"qoif", "a QOI picture", _CONVERT),
    (b"FLIF", "a FLIF picture", _CONVERT),
    (b"BPG\xfb", "a BPG picture", _CONVERT),
    (b"\x8aMNG\r\n\x1a\n", "an MNG animation", _FRAMES),
    (b"\x8bJNG\r\n\x1a\n", "a JNG picture", _CONVERT),
    (b"SIMPLE  =", "a FITS file", _CONVERT),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile", _RENDER),
    (b"FUJIFILMCCD-RAW", "a camera's raw file (RAF)", _DEVELOP),
    (b"IIRO", "a camera's raw file (ORF)", _DEVELOP),
    (b"IIRS", "a camera's raw file (ORF)", _DEVELOP),
    (b"MMOR", "a camera's raw file (ORF)", _DEVELOP),
    (b"IIU\0", "a camera's raw file (RW2)", _DEVELOP),
    (b"II\x1a\0\0\0HEAPCCDR", "a camera's raw file (CRW)", _DEVELOP),
    (b"FOVb", "a camera's raw file (X3F)", _DEVELOP),
    (b"\0MRM", "a camera's raw file (MRW)", _DEVELOP),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video", _FRAMES),
    (b"FLV\x01", "a Flash video", _FRAMES),
    (b"\0\0\1\xba", "an MPEG video", _FRAMES),
    (b"\0\0\1\xb3", "an MPEG video", _FRAMES),
    (b"\x47\x40\0", "an MPEG video", _FRAMES),
    (b"\x47\x40\x11", "an MPEG video", _FRAMES),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video", _FRAMES),
    (b"OggS", "an Ogg file", _FRAMES),
    (b"ID3", "a sound file", _NONE),
    (b"fLaC", "a sound file", _NONE),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer", "fetch what it points at (git lfs pull)"),
    (b"\0\5\x16\7", "an AppleDouble file", "send the file beside it, without ._ in front of its name"),
    (b"\0\5\x16\0", "an AppleSingle file", "send the picture that it wraps"),
    (b"\0\0\0\1Bud1", "a .DS_Store file", _NONE),
    (b"bplist0", "a property list", _NONE),
    (b"PK\3\4", "a ZIP archive", _UNPACK),
    (b"PK\5\6", "a ZIP archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"BZh", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\0", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", _UNPACK),
    (b"SQLite format 3\0", "an SQLite database", _NONE),
    (b"\x7fELF", "a program", _NONE),
)
_RIFF = {
    b"AVI ": ("an AVI video", _FRAMES),
    b"WAVE": ("a sound file", _NONE),
    b"ACON": ("an animated cursor", _CONVERT),
}
# ISO/IEC 14496-12: brands in `ftyp`; any other unsupported brand is a video.
_BRANDS = {
    b"crx ": ("a camera's raw file (CR3)", _DEVELOP),
    b"M4A ": ("a sound file", _NONE),
    b"M4B ": ("a sound file", _NONE),
    b"mjp2": ("a Motion JPEG 2000 video", _FRAMES),
    b"jpm ": ("a JPEG 2000 compound document", _PAGES),
    b"jxl ": ("a JPEG XL picture", _CONVERT),
    b"qt  ": ("a QuickTime video", _FRAMES),
    b"msf1": ("a HEIC sequence without a still picture", _FRAMES),
    b"hevc": ("a HEIC sequence without a still picture", _FRAMES),
    b"hevx": ("a HEIC sequence without a still picture", _FRAMES),
    b"avci": ("a picture coded as H.264 (AVCI)", _CONVERT),
    b"avcs": ("a sequence coded as H.264 (AVCI)", _FRAMES),
}
_FURTHER_IN = (
    *((4, atom, "a QuickTime video", _FRAMES) for atom in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),
    (128, b"DICM", "a DICOM file", _CONVERT),
    (40, b" EMF", "a Windows metafile", _RENDER),
    (257, b"ustar", "a tar archive", _UNPACK),
)
_TAGS = (
    (b"<svg", "an SVG drawing", _RENDER),
    (b"<!doctype html", "an HTML page", "the address may lead to a page about the picture; send the picture itself"),
    (b"<html", "an HTML page", "the address may lead to a page about the picture; send the picture itself"),
    (b"<x:xmpmeta", "an XMP sidecar", "send the picture beside it"),
    (b"<plist", "a property list", _NONE),
    (b"<?xml", "an XML document", _NONE),
    (b"<?xpacket", "an XMP sidecar", "send the picture beside it"),
)
_HEAD = 1024
_TEXT = frozenset(range(32, 127)) | {9, 10, 13}


def sentence(image: bytes) -> str:
    """Say why a file of no supported format is not read."""
    name, advice = _kind(image[:_HEAD]) or (None, None)
    if name:
        return f"{name} is not read: {advice}"
    return "the file is not a picture of an accepted format"


def _kind(head: bytes) -> tuple[str, str] | None:
    for at, mark, name, advice in _FURTHER_IN:
        if head[at : at + len(mark)] == mark:
            return name, advice
    for start, name, advice in _KINDS:
        if head.startswith(start):
            return name, advice
    if head.startswith((b"RIFF", b"RIFX")):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp" or head[16:20] == b"ftyp":
        return _by_brand(head[head.index(b"ftyp") - 4 :])
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3].isspace():
        return "a Netpbm picture", _CONVERT
    if len(head) >= 16 and not any(head):
        return "a file of nothing but zeros", "it was not copied whole; copy it again"
    return _written(head)


def _by_brand(box: bytes) -> tuple[str, str]:
    brands = [box[8:12], *(box[at : at + 4] for at in range(16, min(int.from_bytes(box[:4]), 256), 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), ("an MP4 video", _FRAMES))


def _written(head: bytes) -> tuple[str, str] | None:
    """The kind of text file."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head[2:].replace(b"\0", b"")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"%pdf-" in text:
        return "a PDF document", _PAGES
    if text.startswith(b"<"):
        for tag, name, advice in _TAGS:
            if tag in text:
                return name, advice
    if len(text) >= 8 and _TEXT.issuperset(text):
        return "a text file", _NONE
    return None
