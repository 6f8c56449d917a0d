# SPDX-License-Identifier: Apache-2.0
"""Each kind of file that is no picture of ours is refused by its name, with what to do, and with nothing of what is in it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagier_server.decode.formats import sniff
from imagier_server.decode.unsupported import sentence
from imagier_server.errors import Code, InvalidImageError
from support import made_pictures as made

SECRET = b"confidential"


def film(brand: bytes, *others: bytes) -> bytes:
    brands = brand + bytes(4) + b"".join(others)
    return struct.pack("!I", 8 + len(brands)) + b"ftyp" + brands + b"\0\0\0\x08free" + SECRET


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("confidential.jpg"))
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("confidential.jpg", SECRET)
    return file.getvalue()


FILES = {
    "a PDF document": [
        b"%PDF-1.7\n" + SECRET,
        b"\r\n\n%PDF-1.4" + SECRET,
        b"\xef\xbb\xbf%PDF-1.4",
        b"junk\n%PDF-1.3\n",
    ],
    "a PostScript document": [b"%!PS-Adobe-3.0 EPSF-3.0\n" + SECRET, b"\xc5\xd0\xd3\xc6" + bytes(30)],
    "a DjVu document": [b"AT&TFORM\0\0\0\x20DJVU"],
    "an office document": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(30)],
    "a JPEG XL picture": [b"\xff\x0a\xfa\x1f" + SECRET, b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", film(b"jxl ")],
    "a JPEG XR picture": [b"II\xbc\x01" + bytes(20)],
    "a JPEG-LS picture": [b"\xff\xd8\xff\xf7\0\x0b" + bytes(20)],
    "a Photoshop document": [b"8BPS\0\1" + bytes(20)],
    "a GIMP document": [b"gimp xcf file\0"],
    "an icon": [made.encoded(made.quadrants(16, 16), "ICO"), b"icns\0\0\0\x10"],
    "an animated cursor": [b"RIFF\0\0\0\0ACON"],
    "a sequence coded as H.264 (AVCI)": [film(b"avcs")],
    "a cursor": [b"\0\0\2\0\1\0" + bytes(16)],
    "an OpenEXR picture": [b"v/1\x01\2\0\0\0"],
    "a Radiance picture": [b"#?RADIANCE\n" + SECRET, b"#?RGBE\n"],
    "a DirectDraw surface": [made.encoded(made.quadrants(), "DDS")],
    "a QOI picture": [b"qoif" + bytes(10)],
    "a FLIF picture": [b"FLIF33" + bytes(10)],
    "a BPG picture": [b"BPG\xfb" + bytes(10)],
    "an MNG animation": [b"\x8aMNG\r\n\x1a\n" + bytes(10)],
    "a JNG picture": [b"\x8bJNG\r\n\x1a\n" + bytes(10)],
    "a FITS file": [b"SIMPLE  =                    T"],
    "a DICOM file": [bytes(128) + b"DICM" + SECRET],
    "a Windows metafile": [b"\xd7\xcd\xc6\x9a" + bytes(20), b"\1\0\0\0" + b"\x6c\0\0\0" + bytes(32) + b" EMF"],
    "a Netpbm picture": [made.encoded(made.quadrants(), "PPM"), b"P7\nWIDTH 3\n"],
    "a camera's raw file (CR3)": [film(b"crx ", b"crx ", b"isom")],
    "a camera's raw file (RAF)": [b"FUJIFILMCCD-RAW 0201FF383501X-T5" + SECRET],
    "a camera's raw file (ORF)": [b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"MMOR\0\0\0\x08"],
    "a camera's raw file (RW2)": [b"IIU\0\x18\0\0\0"],
    "a camera's raw file (CRW)": [b"II\x1a\0\0\0HEAPCCDR"],
    "a camera's raw file (X3F)": [b"FOVb\0\0\2\0"],
    "a camera's raw file (MRW)": [b"\0MRM\0\1\2\3"],
    "an MP4 video": [film(b"isom", b"isom", b"avc1"), film(b"mp42"), film(b"M4V "), film(b"3gp4"), film(b"dash")],
    "a QuickTime video": [film(b"qt  "), b"\0\0\0\x08wide\0\0\0\x08mdat", b"\0\0\1\0moov" + SECRET],
    "a Motion JPEG 2000 video": [b"\0\0\0\x0cjP  \r\n\x87\n" + film(b"mjp2", b"mjp2")],
    "a JPEG 2000 compound document": [b"\0\0\0\x0cjP  \r\n\x87\n" + film(b"jpm ")],
    "a HEIC sequence without a still picture": [film(b"msf1", b"hevc"), film(b"hevc"), film(b"hevx")],
    "a picture coded as H.264 (AVCI)": [film(b"avci")],
    "a Matroska or WebM video": [b"\x1aE\xdf\xa3\x9fB\x86\x81\1" + SECRET],
    "an AVI video": [b"RIFF\x10\0\0\0AVI LIST"],
    "a Flash video": [b"FLV\1\5\0\0\0\x09"],
    "an MPEG video": [b"\0\0\1\xba\x44\0", b"\0\0\1\xb3\x16\0", b"\x47\x40\0\x10" + bytes(184) + b"\x47\x50"],
    "a Windows Media video": [b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c"],
    "an Ogg file": [b"OggS\0\2" + bytes(20)],
    "a sound file": [b"ID3\4\0\0" + SECRET, b"fLaC\0\0\0\x22", b"RIFF\x10\0\0\0WAVEfmt ", film(b"M4A ")],
    "an SVG drawing": [
        b"<svg xmlns='http://www.w3.org/2000/svg'><text>confidential</text></svg>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- confidential -->\n<!DOCTYPE svg>\n<SVG/>",
        b"  \n\t<?xml version='1.0'?><svg/>",
        "<?xml version='1.0' encoding='utf-16'?><svg/>".encode("utf-16"),
    ],
    "an HTML page": [b"<!DOCTYPE html><title>confidential</title>", b"<html><body>404", b"\n<!-- x --><html>"],
    "an XMP sidecar": [b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>", b"<?xpacket begin=''?><x:xmpmeta>"],
    "a property list": [b"<?xml version='1.0'?><!DOCTYPE plist><plist>", b"bplist00\xd4"],
    "an XML document": [b"<?xml version='1.0'?><album>confidential</album>"],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:confidential\nsize 12345\n"],
    "an AppleDouble file": [b"\0\5\x16\7\0\2\0\0Mac OS X        " + SECRET],
    "an AppleSingle file": [b"\0\5\x16\0\0\2\0\0"],
    "a .DS_Store file": [b"\0\0\0\1Bud1\0\0\x10\0"],
    "a ZIP archive": [archive(), b"PK\5\6" + bytes(18)],
    "a RAR archive": [b"Rar!\x1a\x07\x01\0"],
    "a 7z archive": [b"7z\xbc\xaf\x27\x1c\0\4"],
    "a tar archive": [tar()],
    "a gzip file": [gzip.compress(SECRET)],
    "a bzip2 file": [bz2.compress(SECRET)],
    "an xz file": [lzma.compress(SECRET)],
    "a Zstandard file": [b"\x28\xb5\x2f\xfd\x20" + SECRET],
    "an SQLite database": [b"SQLite format 3\0\x10\0"],
    "a program": [b"\x7fELF\2\1\1\0"],
    "a text file": [b"Thumbs say confidential things\n", b'{"error": "confidential"}', b"\xef\xbb\xbfconfidential"],
    "a file of nothing but zeros": [bytes(16), bytes(100_000)],
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, files in FILES.items() for number in range(len(files))]
)
def test_it_is_refused_by_its_name(name: str, number: int) -> None:
    with pytest.raises(InvalidImageError) as refused:
        sniff(FILES[name][number])
    error = refused.value
    assert error.text.startswith(f"{name} is not read: ")
    assert (error.code, error.field, error.retry_after) == (Code.INVALID, "image", None)
    assert "confidential" not in error.text.lower()


@pytest.mark.parametrize(
    "data", [b"\x80", b"\xff\xd8", b"GIF90a\x80", b"RIFF\0\0\0\0NONE", b"BM\x81234567890123456789", bytes(15)]
)
def test_what_has_no_name_is_no_picture(data: bytes) -> None:
    assert sentence(data) == "the file is not a picture of an accepted format"


@given(st.binary(max_size=400))
def test_never_a_word_of_the_file(noise: bytes) -> None:
    assert sentence(noise) in {sentence(file) for files in FILES.values() for file in files} | {sentence(b"\x80")}
