"""Still pictures of every kind that cameras, scanners and programs write, whole and damaged: PNG, JPEG, TIFF, WebP.

Pictures are written here, by Pillow or by libtiff's tools from a known picture, all of a group into one folder, and
upscaled in one run; each result must be exactly the enlargement of the known pixels (JPEG: of those that Pillow reads).
"""
import io
import os
import shutil
import struct
import subprocess
import sys
import zlib

try:
    from PIL import Image, PngImagePlugin, features
except ImportError:
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])  # Debian's, which python3-pil is for
    print("skipped: Pillow (python3-pil) is needed")
    sys.exit(77)

import play

if not shutil.which("tiffcp"):
    print("skipped: tiffcp (libtiff-tools) is needed")
    sys.exit(play.SKIPPED)

READER = os.environ.get("READ_PICTURE", os.path.join(os.path.dirname(play.RESR), "tests/media/read_picture"))
W, H = 32, 24


def rgb_at(x, y):
    return (x * 8 & 255, y * 10 & 255, (x * 5 + y * 3) & 255)


RGB = [[rgb_at(x, y) for x in range(W)] for y in range(H)]
GREY = [[(x * 7 + y * 3 & 255,) for x in range(W)] for y in range(H)]
ALPHA = [[(0, 40, 128, 255)[x // 8] for x in range(W)] for y in range(H)]
RGBA = [[c + (a,) for c, a in zip(*rows)] for rows in zip(RGB, ALPHA)]
YA = [[c + (a,) for c, a in zip(*rows)] for rows in zip(GREY, ALPHA)]


def deep(picture):
    """16 bits, whose low bytes are not their high ones."""
    return [[tuple(v * 256 + (255 - v) for v in p) for p in row] for row in picture]


def flat(picture, bits=8, order=">"):
    code = {8: "B", 16: "H"}[bits]
    values = [v for row in picture for p in row for v in p]
    return struct.pack(f"{order}{len(values)}{code}", *values)


def turned(picture, orientation):
    """How a picture is stored that EXIF's orientation makes upright."""
    transpose = [list(row) for row in zip(*picture)]
    return {1: picture, 2: [r[::-1] for r in picture], 3: [r[::-1] for r in picture[::-1]], 4: picture[::-1],
            5: transpose, 6: transpose[::-1], 7: [r[::-1] for r in transpose[::-1]],
            8: [r[::-1] for r in transpose]}[orientation]


def exif(orientation, order="MM"):
    """A block with a text, 1/125 s and a width in EXIF's folder, a latitude in that of GPS."""
    o = ">" if order == "MM" else "<"
    inner = struct.pack(o + "H", 2) + struct.pack(o + "HHII", 0x829A, 5, 1, 92) + \
        struct.pack(o + "HHII", 0xA002, 4, 1, W) + bytes(4) + struct.pack(o + "II", 1, 125)
    gps = struct.pack(o + "H", 1) + struct.pack(o + "HHII", 2, 5, 3, 118) + bytes(4) + \
        struct.pack(o + "6I", 48, 1, 30, 1, 5, 10)
    return (order.encode() + struct.pack(o + "HI", 42, 8) + struct.pack(o + "H", 4) +
            struct.pack(o + "HHIHH", 0x0112, 3, 1, orientation, 0) +
            struct.pack(o + "HHI4s", 0x013B, 2, 4, b"Ann\0") + struct.pack(o + "HHII", 0x8769, 4, 1, 62) +
            struct.pack(o + "HHII", 0x8825, 4, 1, 100) + struct.pack(o + "I", 0) + inner + gps)


def xmp(orientation):
    return (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="%d"/></rdf:RDF>'
            b"</x:xmpmeta>" % orientation)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(path, picture, bits, kind, extra=b"", interlaced=False, after=b"", pack=None):
    """`pack(row)` makes the bytes of a row of pixels; extra: chunks before the pixels."""
    height, width = len(picture), len(picture[0])
    pack = pack or (lambda row: flat([row], bits))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = []
    for x, y, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        rows += [b"\0" + pack(row[x::dx]) for row in picture[y::dy] if row[x::dx]]
    with open(path, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" +
                  chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))) + extra +
                  chunk(b"IDAT", zlib.compress(b"".join(rows))) + after + chunk(b"IEND", b""))


def bits_of(row, bits):
    """First components, packed from the highest bit on."""
    text = "".join(format(p[0], f"0{bits}b") for p in row)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def tiff(path, picture, photometric, bits=8, order="<", planar=False, tile=0, compressed=False, extra=None, tags=(),
         reverse=False):
    """Strips of 7 rows or square tiles; `tags`: (number, type, count, bytes or number)."""
    height, width, n = len(picture), len(picture[0]), len(picture[0][0])
    planes = [[[(p[c],) for p in row] for row in picture] for c in range(n)] if planar else [picture]
    units = []
    for plane in planes:
        if tile:
            filled = [row + [row[-1]] * (-width % tile) for row in plane]
            filled += [filled[-1]] * (-height % tile)
            units += [[row[x:x + tile] for row in filled[y:y + tile]]
                      for y in range(0, height, tile) for x in range(0, width, tile)]
        else:
            units += [plane[y:y + 7] for y in range(0, height, 7)]

    def raw(unit):
        if bits in (8, 16):
            return flat(unit, bits, order)
        return b"".join(bits_of([(v,) for p in row for v in p], bits) for row in unit)

    data = [zlib.compress(raw(u)) if compressed else raw(u) for u in units]
    if reverse:  # the bits of each byte: FillOrder 2
        data = [bytes(int(format(b, "08b")[::-1], 2) for b in d) for d in data]
        tags = [*tags, (266, 3, 1, 2)]
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    offsets = []
    for d in data:
        offsets.append(len(out))
        out += d + b"\0" * (len(d) & 1)

    def longs(values):
        return struct.pack(f"{order}{len(values)}I", *values)

    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, n, struct.pack(f"{order}{n}H", *[bits] * n)),
               (259, 3, 1, 8 if compressed else 1), (262, 3, 1, photometric), (277, 3, 1, n),
               (284, 3, 1, 2 if planar else 1), *tags]
    if tile:
        entries += [(322, 4, 1, tile), (323, 4, 1, tile), (324, 4, len(offsets), longs(offsets)),
                    (325, 4, len(data), longs([len(d) for d in data]))]
    else:
        entries += [(278, 4, 1, 7), (273, 4, len(offsets), longs(offsets)),
                    (279, 4, len(data), longs([len(d) for d in data]))]
    if extra is not None:
        entries.append((338, 3, 1, extra))
    folder = b""
    for number, kind, count, value in sorted(entries, key=lambda e: e[0]):
        if isinstance(value, int):
            value = struct.pack(order + ("HH" if kind == 3 else "I"), *((value, 0) if kind == 3 else (value,)))
        if len(value) > 4:
            place = len(out)
            out += value + b"\0" * (len(value) & 1)
            value = struct.pack(order + "I", place)
        folder += struct.pack(order + "HHI", number, kind, count) + value.ljust(4, b"\0")
    struct.pack_into(order + "I", out, 4, len(out))
    out += struct.pack(order + "H", len(entries)) + folder + b"\0\0\0\0"
    with open(path, "wb") as file:
        file.write(out)


def ycbcr(path):
    """4:2:0 without compression: four Y, a Cb and a Cr of each 2 x 2 pixels."""
    def of(r, g, b):
        return (0.299 * r + 0.587 * g + 0.114 * b, 128 - 0.1687 * r - 0.3313 * g + 0.5 * b,
                128 + 0.5 * r - 0.4187 * g - 0.0813 * b)
    data = bytearray()
    for y in range(0, H, 2):
        for x in range(0, W, 2):
            four = [of(*RGB[j][i]) for j in (y, y + 1) for i in (x, x + 1)]
            data += bytes(round(v[0]) for v in four) + bytes(round(sum(v[c] for v in four) / 4) for c in (1, 2))
    entries = [(256, 3, 1, W), (257, 3, 1, H), (258, 3, 3, 8 + len(data)), (259, 3, 1, 1), (262, 3, 1, 6), (273, 4, 1, 8),
               (277, 3, 1, 3), (278, 3, 1, H), (279, 4, 1, len(data)), (284, 3, 1, 1), (530, 3, 2, 2 | 2 << 16),
               (532, 5, 6, 14 + len(data))]
    with open(path, "wb") as out:
        out.write(b"II*\0" + struct.pack("<I", 8 + len(data) + 6 + 48) + data + struct.pack("<3H", 8, 8, 8) +
                  struct.pack("<12I", 0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1) + struct.pack("<H", len(entries)) +
                  b"".join(struct.pack("<HHII", *e) for e in entries) + b"\0" * 4)


def tool(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def image(picture):
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[len(picture[0][0])]
    return Image.frombytes(mode, (len(picture[0]), len(picture)), flat(picture))


def enlarged(data, pixel_bytes, width=W, height=H):
    rows = []
    for y in range(height):
        row = data[y * width * pixel_bytes:(y + 1) * width * pixel_bytes]
        twice = b"".join(row[x:x + pixel_bytes] * 2 for x in range(0, len(row), pixel_bytes))
        rows += [twice, twice]
    return b"".join(rows)


def levels(data, pix_fmt):
    return struct.unpack(f"<{len(data) // 2}H", data) if "16" in pix_fmt or pix_fmt in ("rgb48le", "rgba64le") else data


def closest(got, want, pix_fmt):
    """The largest difference; of alpha, which is enlarged smoothly, only inside of what is even."""
    pairs = enumerate(zip(levels(got, pix_fmt), levels(want, pix_fmt)))
    n = 4 if "rgba" in pix_fmt else 2 if pix_fmt == "ya8" else 0
    return max(abs(a - b) for i, (a, b) in pairs if not n or i % n < n - 1 or i // n % 16 in (7, 8))


def compare(folder, expected, pix_fmt, tolerance=0):
    """Upscales a folder's pictures; `expected`: by name, the bytes of the input's pixels in pix_fmt."""
    result = play.up(folder, "out")
    play.done(result)
    size = {"gray": 1, "rgb24": 3, "rgba": 4, "ya8": 2, "gray16le": 2, "rgb48le": 6, "rgba64le": 8}[pix_fmt]
    wrong = []
    for name, data in expected.items():
        path = f"out/{os.path.splitext(name)[0]}.png"
        got = Image.open(path).tobytes() if size < 5 and "16" not in pix_fmt else play.pixels(path, pix_fmt)
        want = enlarged(data, size)
        if got != want and (len(got) != len(want) or closest(got, want, pix_fmt) > tolerance):
            wrong.append(name)
    play.equal("wrong pictures", wrong, [])
    play.equal("pictures", sorted(os.listdir("out")), sorted(os.path.splitext(n)[0] + ".png" for n in os.listdir(folder)))
    return result


def new_folder(name):
    play.remove(name)
    os.mkdir(name)
    return name


def case_rgb():
    """Everything that is 8-bit RGB, through whatever file."""
    f = new_folder("rgb")
    expected = {}

    def add(name, picture=RGB):
        name = name[-3:] + "-" + name
        expected[name] = flat(picture)
        return f"{f}/{name}"

    palette = [rgb_at(i, 255 - i) for i in range(200)]
    colours = [[palette[(x + 5 * y) % 200] for x in range(W)] for y in range(H)]
    indices = [[((x + 5 * y) % 200,) for x in range(W)] for y in range(H)]
    plte = chunk(b"PLTE", bytes(v for p in palette for v in p))
    few = chunk(b"PLTE", bytes(v for p in palette[:16] for v in p))
    png(add("rgb.png"), RGB, 8, 2)
    png(add("interlaced.png"), RGB, 8, 2, interlaced=True)
    png(add("palette8.png", colours), indices, 8, 3, plte)
    png(add("palette8i.png", colours), indices, 8, 3, plte, interlaced=True)
    for bits in (1, 2, 4):
        index = [[(p[0] % (1 << bits),) for p in row] for row in indices]
        png(add(f"palette{bits}.png", [[palette[p[0]] for p in row] for row in index]), index, bits, 3,
            chunk(b"PLTE", bytes(v for p in palette[:1 << bits] for v in p)), pack=lambda row, b=bits: bits_of(row, b))
        tiff(add(f"palette{bits}.tif", [[palette[p[0]] for p in row] for row in index]), index, 3, bits,
             tags=[(320, 3, 3 << bits, struct.pack(f"<{3 << bits}H", *[palette[i][c] * 257 for c in range(3)
                                                                        for i in range(1 << bits)]))])
    png(add("gamma.png"), RGB, 8, 2, chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sBIT", b"\5\6\5"))
    for o in range(1, 9):
        png(add(f"exif{o}.png"), turned(RGB, o), 8, 2, chunk(b"eXIf", exif(o, "II" if o & 1 else "MM")))
        tiff(add(f"orient{o}.tif"), turned(RGB, o), 2, tags=[(274, 3, 1, o)])
        image(turned(RGB, o)).save(add(f"exif{o}.webp"), lossless=True, exif=exif(o))
    png(add("xmp.png"), turned(RGB, 6), 8, 2, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(6)))
    tiff(add("xmp.tif"), turned(RGB, 8), 2, tags=[(700, 1, len(xmp(8)), xmp(8))])
    image(turned(RGB, 3)).save(add("xmp.webp"), lossless=True, xmp=xmp(3))
    for order in "<>":
        for planar in (False, True):
            for tile in (0, 16):
                for compressed in (False, True):
                    name = f"{'lb'[order == '>']}{'cp'[planar]}{tile}{'nz'[compressed]}.tif"
                    tiff(add(name), RGB, 2, 8, order, planar, tile, compressed)
    tiff(add("reverse.tif"), RGB, 2, reverse=True)
    low = [[tuple(v >> 4 for v in p) for p in row] for row in RGB]
    tiff(add("rgb4.tif", [[tuple(v * 17 for v in p) for p in row] for row in low]), low, 2, 4)
    tiff(add("extra.tif"), RGBA, 2, 8, extra=0)
    for number, words in enumerate((["-c", "lzw:2"], ["-c", "packbits"], ["-c", "zip:2", "-p", "separate"],
                                    ["-c", "lzw", "-t", "-w", "16", "-l", "16"], ["-8", "-c", "zip"], ["-B", "-c", "none"])):
        tool("tiffcp", *words, f"{f}/tif-lc0n.tif", add(f"tool{number}.tif"))
    os.rename(f"{f}/png-rgb.png", f"{f}/png.jpg")  # the kind is told by the content
    expected["png.jpg"] = expected.pop("png-rgb.png")
    jpegs = {"j444.jpg": dict(quality=90, subsampling=0), "j420.jpg": dict(quality=80, subsampling=2),
             "j422.jpg": dict(quality=80, subsampling=1), "prog.jpg": dict(quality=85, progressive=True),
             "restart.jpg": dict(quality=85, restart_marker_blocks=2)}
    for o in range(1, 9):
        jpegs[f"o{o}.jpg"] = dict(quality=90, subsampling=2, exif=b"Exif\0\0" + exif(o), stored=turned(RGB, o))
    for name, options in jpegs.items():
        stored = image(options.pop("stored", RGB))
        stored.save(f"{f}/{name}", "JPEG", **options)
        back = Image.open(f"{f}/{name}")
        way = back.getexif().get(0x0112, 1)
        pixels = list(back.getdata())
        rows = [pixels[y * back.width:(y + 1) * back.width] for y in range(back.height)]
        undo = {6: 8, 8: 6}.get(way, way)  # turning back
        expected[name] = flat(turned(rows, undo))
    image(RGB).convert("CMYK").save(f"{f}/inks.jpg", quality=95, subsampling=0)
    expected["inks.jpg"] = Image.open(f"{f}/inks.jpg").convert("RGB").tobytes()
    inks = [[(255 - r, 255 - g, 255 - b, (x * y) & 63) for x, (r, g, b) in enumerate(row)] for y, row in enumerate(RGB)]
    tiff(f"{f}/cmyk.tif", inks, 5)
    tiff(f"{f}/cmykp.tif", inks, 5, planar=True)
    expected["cmyk.tif"] = expected["cmykp.tif"] = Image.frombytes("CMYK", (W, H), flat(inks)).convert("RGB").tobytes()
    ycbcr(f"{f}/ycbcr.tif")
    tool("tiffcp", "-c", "jpeg:95", "-r", "16", f"{f}/tif-lc0n.tif", f"{f}/jpeg.tif")
    for name in ("ycbcr.tif", "jpeg.tif"):
        tool("tiff2rgba", "-c", "none", "-b", f"{f}/{name}", "reference.tif")
        expected[name] = Image.open("reference.tif").convert("RGB").tobytes()
    image(RGB).save(f"{f}/lossy.webp", quality=70)
    expected["lossy.webp"] = Image.open(f"{f}/lossy.webp").convert("RGB").tobytes()
    del few
    compare(f, expected, "rgb24")


def case_alpha():
    """8 bits with transparency."""
    f = new_folder("alpha")
    palette = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    index = [[((x // 8) % 3,) for x in range(W)] for y in range(H)]
    keyed = [[RGB[y][x] if x // 8 != 2 else (1, 2, 3) for x in range(W)] for y in range(H)]
    whole = [[tuple((v * p[3] + 127) // 255 for v in p[:3]) + (p[3],) for p in row] for row in RGBA]
    back = [[tuple(min(255, (v * 255 + a // 2) // a) if a else 0 for v in (r, g, b)) + (a,) for r, g, b, a in row]
            for row in whole]
    png(f"{f}/rgba.png", RGBA, 8, 6)
    png(f"{f}/pal.png", index, 8, 3, chunk(b"PLTE", bytes(v for p in palette for v in p)) + chunk(b"tRNS", b"\0\x80"))
    png(f"{f}/key.png", keyed, 8, 2, chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)))
    tiff(f"{f}/2.tif", RGBA, 2, extra=2)
    tiff(f"{f}/planar.tif", RGBA, 2, extra=2, planar=True, tile=16, order=">")
    tiff(f"{f}/none.tif", RGBA, 2)
    tiff(f"{f}/whole.tif", whole, 2, extra=1)
    image(RGBA).save(f"{f}/lossless.webp", lossless=True, exact=True)
    compare(f, {"rgba.png": flat(RGBA), "2.tif": flat(RGBA), "planar.tif": flat(RGBA),
                "pal.png": flat([[palette[i] + ((0, 128, 255)[i],) for i, in row] for row in index]),
                "key.png": flat([[p + (255 * (p != (1, 2, 3)),) for p in row] for row in keyed]),
                "none.tif": flat(RGBA), "whole.tif": flat(back),
                "lossless.webp": flat(RGBA)}, "rgba")
    f = new_folder("grey-alpha")
    png(f"{f}/ya.png", YA, 8, 4)
    tiff(f"{f}/2.tif", YA, 1, extra=2)
    tiff(f"{f}/planar.tif", YA, 1, extra=2, planar=True)
    compare(f, {name: flat(YA) for name in os.listdir(f)}, "ya8")


def case_grey():
    f = new_folder("grey")
    expected = {}
    for bits in (1, 2, 4, 8):
        most = (1 << bits) - 1
        low = [[(p[0] >> (8 - bits),) for p in row] for row in GREY]
        data = flat([[(p[0] * 255 // most,) for p in row] for row in low])
        for name in (f"g{bits}.png", f"i{bits}.png"):
            png(f"{f}/{name}", low, bits, 0, interlaced=name[0] == "i", pack=lambda row, b=bits: bits_of(row, b))
            expected[name] = data
        white = [[(most - p[0],) for p in row] for row in low]
        for name, picture, photometric, order, tile in (
                ("b", low, 1, "<", 0), ("w", white, 0, ">", 0), ("t", low, 1, ">", 16), ("u", white, 0, "<", 16)):
            tiff(f"{f}/{name}{bits}.tif", picture, photometric, bits, order, tile=tile)
            expected[f"{name}{bits}.tif"] = data
    tool("tiffcp", "-c", "g4", f"{f}/b1.tif", f"{f}/fax.tif")
    expected["fax.tif"] = expected["b1.tif"]
    image(GREY).save(f"{f}/grey.jpg", quality=90)
    expected["grey.jpg"] = Image.open(f"{f}/grey.jpg").tobytes()
    compare(f, expected, "gray")


def case_16_bits():
    for name, picture, kind, photometric, pix_fmt, extra in (
            ("grey", GREY, 0, 1, "gray16le", None), ("rgb", RGB, 2, 2, "rgb48le", None), ("rgba", RGBA, 6, 2, "rgba64le", 2)):
        f = new_folder("deep-" + name)
        large = deep(picture)
        png(f"{f}/p.png", large, 16, kind)
        png(f"{f}/i.png", large, 16, kind, interlaced=True)
        tiff(f"{f}/l.tif", large, photometric, 16, "<", extra=extra)
        tiff(f"{f}/b.tif", large, photometric, 16, ">", planar=True, tile=16, compressed=True, extra=extra)
        expected = {n: flat(large, 16, "<") for n in os.listdir(f)}
        if name == "grey":
            low = [[(p[0] >> 4,) for p in row] for row in large]
            tiff(f"{f}/12.tif", low, 1, 12)
            expected["12.tif"] = flat([[((p[0] * 65535 + 2047) // 4095,) for p in row] for row in low], 16, "<")
        compare(f, expected, pix_fmt, tolerance=pix_fmt == "gray16le")  # a mean of three in floating point


def profile():
    from PIL import ImageCms
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def ink_profile():
    """A CMYK profile (lut8 to Lab) of inks that are not pure."""
    nodes = bytes(v for i in range(16) for c, m, y, k in [(i >> 3 & 1, i >> 2 & 1, i >> 1 & 1, i & 1)]
                  for v in (max(0, 245 - 70 * c - 80 * m - 20 * y - 150 * k), 128 - 30 * c + 50 * m * (1 - c) - 3 * y,
                            128 - 35 * c * (1 - m) - 5 * m + 60 * y * (1 - k)))
    line = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9))) + \
        line * 4 + nodes + line * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"inks\0" + bytes(78) + b"\0"
    tags, data = b"", b""
    for name, block in ((b"A2B0", lut), (b"wtpt", white), (b"desc", text)):
        block += bytes(-len(block) % 4)
        tags += name + struct.pack(">II", 128 + 4 + 36 + len(data), len(block))
        data += block
    body = struct.pack(">I", 3) + tags + data
    return struct.pack(">I4sI", 128 + len(body), bytes(4), 0x02400000) + b"prtrCMYKLab " + bytes(12) + b"acsp" + \
        bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + body


def case_inks():
    """CMYK with a profile of its inks: the profile's colours."""
    from PIL import ImageCms
    icc = ink_profile()
    paper = [[(x * 8 & 255, y * 10 & 255, (x * y) & 255, (x + y) & 127) for x in range(W)] for y in range(H)]
    inks = Image.frombytes("CMYK", (W, H), flat(paper))

    def shown(picture):
        return ImageCms.profileToProfile(picture, ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                                         ImageCms.createProfile("sRGB"), 0, "RGB").tobytes()
    f = new_folder("inks")
    inks.save(f"{f}/j.jpg", quality=95, subsampling=0, icc_profile=icc)
    tiff(f"{f}/t.tif", paper, 5, tags=[(34675, 7, len(icc), icc)])
    play.check(shown(inks) != inks.convert("RGB").tobytes(), "the profile says something")
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(image(RGB), srgb, lab, outputMode="LAB")
    picture.save(f"{f}/lab.tif")
    tiff("white.tif", RGB, 8, tags=[(318, 5, 2, struct.pack("<4I", 3127, 10000, 3290, 10000))])
    play.refused(play.up("white.tif", "o.png"), 65, "Lab")
    compare(f, {"j.jpg": shown(Image.open(f"{f}/j.jpg")), "t.tif": shown(inks),
                "lab.tif": ImageCms.profileToProfile(picture, lab, srgb, 0, "RGB").tobytes()}, "rgb24", tolerance=1)
    play.check("icc_profile" not in Image.open("out/t.png").info, "the profile of inks is not that of the RGB picture")


def case_tags_are_kept():
    """Profile, EXIF, XMP, texts and resolution from each format to each; what is lost is said once."""
    icc, text = profile(), PngImagePlugin.PngInfo()
    text.add_text("Author", "Ann")
    text.add_text("Title", "my photo", zip=True)
    image(RGB).save("in.png", icc_profile=icc, dpi=(300, 300), pnginfo=text)
    block = b"Exif\0\0" + exif(6)
    image(turned(RGB, 6)).save("in.jpg", quality=95, icc_profile=icc, dpi=(300, 300), exif=block, comment=b"hello")
    image(turned(RGB, 6)).save("in.webp", lossless=True, icc_profile=icc, exif=exif(6, "II"), xmp=xmp(6))
    tiff("in.tif", turned(RGB, 6), 2, tags=[(274, 3, 1, 6), (315, 2, 4, b"Ann\0"), (34675, 7, len(icc), icc),
                                            (282, 5, 1, struct.pack("<II", 300, 1)), (283, 5, 1, struct.pack("<II", 300, 1))])
    play.done(play.up("in.jpg", "camera.tif", "--outscale", "1"))
    sources = new_folder("sources")
    for number, name in enumerate(("in.jpg", "in.png", "in.tif", "in.webp", "camera.tif")):
        shutil.copy(name, f"{sources}/{number}{os.path.splitext(name)[1]}")
    for ending, lost in (("png", ""), ("jpg", "texts"), ("tif", "texts"), ("webp", "resolution")):
        result = play.up(sources, f"o%d.{ending}", "--overwrite")
        play.done(result)
        play.check(("cannot store" in result.err) == bool(lost) and lost in result.err and
                   result.err.count("cannot store") <= 1, f"{ending}: loss is said: {result.err}")
        for number, source in enumerate(("jpg", "png", "tif", "webp", "camera")):
            what = f"{source} -> {ending}"
            got = Image.open(f"o{number + 1}.{ending}")
            play.equal(f"{what}: size", got.size, (2 * W, 2 * H))
            play.equal(f"{what}: profile", got.info.get("icc_profile"), icc)
            if "jpg" not in (source, ending) and source != "camera":
                play.equal(f"{what}: pixels", got.convert("RGB").tobytes(), enlarged(flat(RGB), 3))
            tags = got.getexif()
            play.check(tags.get(0x0112, 1) == 1, f"{what}: orientation {tags.get(0x0112)}")
            author = tags.get(0x013B) or got.info.get("Author")
            play.equal(f"{what}: author", author and str(author).strip("\0"), "Ann")
            if "webp" not in (source, ending):
                play.equal(f"{what}: dpi", tuple(round(float(v)) for v in got.info["dpi"]), (300, 300))
            if source in ("jpg", "webp", "camera"):
                inner = tags.get_ifd(0x8769)
                play.equal(f"{what}: exposure", round(1 / float(inner.get(0x829A, 1))), 125)
                play.equal(f"{what}: width", inner.get(0xA002), 2 * W)
                play.equal(f"{what}: latitude", [float(v) for v in tags.get_ifd(0x8825).get(2, ())], [48, 30, 0.5])
            if source == "png" and ending == "png":
                play.equal("texts", {k: got.text[k] for k in ("Author", "Title")}, {"Author": "Ann", "Title": "my photo"})


def case_odd_keywords():
    """Texts whose keyword PNG's writer does not take are named, and the picture is written."""
    for key, lost in ((b"", True), (b" ", True), (b"\n", True), (b"a\nb", False), (b"x" * 90, False)):
        png("odd.png", RGB, 8, 2, chunk(b"tEXt", key + b"\0hello"))
        result = play.up("odd.png", "o.png")
        play.done(result)
        play.equal(f"keyword {key}: said to be lost", "lost: texts" in result.err, lost)
        play.equal(f"keyword {key}: pixels", play.pixels("o.png"), enlarged(flat(RGB), 3))


def case_output_formats():
    """Depth and transparency stay where the format has them; else one warning says so."""
    png("deep.png", deep(RGBA), 16, 6)
    for output, pix_fmt, word in (("o.png", "rgba64be", ""), ("o.tif", "rgba64le", ""), ("o.webp", "argb", "8 bits"),
                                  ("o.jpg", "yuvj444p", "transparency"), ("o.bmp", "bgra", "8 bits")):
        result = play.up("deep.png", output)
        play.done(result)
        play.equal(output, play.probe(output, "stream=pix_fmt"), [pix_fmt])
        play.check(word in result.err and bool(word) == ("cannot store" in result.err), f"{output}: {result.err}")
    png("grey.png", GREY, 8, 0)
    for output in ("o.png", "o.tif"):
        play.done(play.up("grey.png", output))
        play.equal(output, play.pixels(output, "gray"), enlarged(flat(GREY), 1))
        play.equal(output, play.probe(output, "stream=pix_fmt"), ["gray"])
    png("rgb.png", RGB, 8, 2)
    for output in ("o.webp", "o.tif", "o.png"):
        play.done(play.up("rgb.png", output))
        play.equal(output, play.pixels(output), enlarged(flat(RGB), 3))
    play.done(play.up("rgb.png", "o.jpg"))
    worst = max(abs(a - b) for a, b in zip(play.pixels("o.jpg"), enlarged(flat(RGB), 3)))
    play.check(worst <= 24, f"JPEG is {worst} levels off")
    for name, subsampling in (("yuv420p", 2), ("yuv422p", 1), ("yuv444p", 0)):  # a video keeps a JPEG's chroma
        f = new_folder("jpegs")
        image(RGB).save(f"{f}/1.jpg", quality=90, subsampling=subsampling)
        play.done(play.up(f, "o.mkv"))
        play.equal("video of JPEG pictures", play.probe("o.mkv", "stream=pix_fmt")[0].replace("yuvj", "yuv"), name)
    sizes = []
    for quality in ("1", "10", "31"):
        play.done(play.up("rgb.png", "o.jpg", "--crf", quality))
        sizes.append(os.path.getsize("o.jpg"))
    play.check(sizes[0] > sizes[1] > sizes[2], f"sizes {sizes}")
    play.refused(play.up("rgb.png", "o.jpg", "--crf", "40"), 64, "--crf")
    play.refused(play.up("rgb.png", "o.png", "--crf", "4"), 64, "lossless")


def case_limits():
    """Sizes are refused before the work, by name."""
    def empty(path, width, height):
        with open(path, "wb") as out:
            out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                      chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    empty("huge.png", 65535, 65535)
    play.refused(play.up("huge.png", "o.png"), 65, "65535 x 65535")
    empty("large.png", 60000, 4)
    play.refused(play.up("large.png", "o.png"), 65, "60000 x 4")
    image([[(9, 9, 9)] * 8200] * 4).save("wide.png")
    play.refused(play.up("wide.png", "o.webp"), 64, "16400 x 8", "16383", "--outscale")
    play.equal("left behind", play.leftovers("o.webp"), [])


def case_refused():
    """What is not read is refused by its name, and never taken for something else."""
    image(RGB).save("anim.webp", save_all=True, append_images=[image(turned(RGB, 3))], lossless=True, duration=100)
    play.refused(play.up("anim.webp", "o.png"), 65, "animation of 2")
    tiff("float.tif", RGB, 2, tags=[(339, 3, 3, struct.pack("<3H", 3, 3, 3))])
    play.refused(play.up("float.tif", "o.png"), 65, "floating point")
    tiff("cfa.tif", GREY, 32803)
    play.refused(play.up("cfa.tif", "o.png"), 65, "32803")
    tiff("page.tif", RGB, 2)
    tool("tiffcp", "page.tif", "page.tif", "pages.tif")
    result = play.up("pages.tif", "o.png")
    play.done(result)
    play.check("more than one page" in result.err, f"pages: {result.err}")
    play.ffmpeg("-f lavfi -i testsrc2=s=32x24 -frames:v 3 -plays 0 -f apng moving.png")
    play.refused(play.up("moving.png", "o.png"), 64, "more than one frame")
    os.makedirs("mixed", exist_ok=True)
    shutil.copy("moving.png", "mixed/1.png")
    play.refused(play.up("mixed", "out"), 65, "mixed/1.png", "more than one picture")
    play.done(play.up("moving.png", "o.mkv"))
    play.equal("frames of an animated PNG", play.frames("o.mkv"), 3)
    play.ffmpeg("-f lavfi -i testsrc2=s=32x24 -frames:v 3 -c:v mjpeg -f mjpeg moving.mjpeg")
    play.done(play.up("moving.mjpeg", "o.mkv"))
    play.equal("frames of moving JPEG", play.frames("o.mkv"), 3)
    os.rename("moving.mjpeg", "moving.jpg")
    result = play.up("moving.jpg", "o.mkv")
    if result.code == 0:
        play.equal("frames of moving JPEG", play.frames("o.mkv"), 3)
    else:
        play.refused(result, 65, "more than one picture")


def read(paths):
    """What the program's reader says of each file: its line's first word is 0 or an error code."""
    return subprocess.run([READER, *paths], check=True, stdout=subprocess.PIPE).stdout.decode().splitlines()


def case_damage():
    """Cut at every place, an end without its mark, flipped bytes in what has a check value."""
    many = [[((x * 37 + y * 11) & 255, (y * 29) & 255, (x * y) & 255) for x in range(64)] for y in range(48)]
    image(many).save("a.png")
    png("t.png", [[((x + y) & 1,) for x in range(64)] for y in range(48)], 8, 3,
        chunk(b"PLTE", bytes(range(6))) + chunk(b"tRNS", b"\0\x80"))
    image(many).save("a.jpg", quality=90)
    image(many).save("ap.jpg", quality=90, progressive=True)
    image(many).save("a.webp", quality=80)
    image(many).save("al.webp", lossless=True)
    tiff("a.tif", many, 2)
    for name, words in (("az", ["zip"]), ("aw", ["lzw"]), ("aj", ["jpeg"]), ("ap", ["packbits"])):
        tool("tiffcp", "-c", *words, "-r", "16", "a.tif", name + ".tif")
    files = new_folder("damage")
    for name in ("a.png", "t.png", "a.jpg", "ap.jpg", "a.webp", "al.webp", "a.tif", "az.tif", "aw.tif", "aj.tif", "ap.tif"):
        with open(name, "rb") as file:
            data = file.read()
        play.check(read([name])[0].startswith("0 "), f"{name} is whole")
        # The last number of this TIFF says that no page follows.
        cuts = {len(data) * part // 40 for part in range(40)} | {len(data) - (5 if name == "a.tif" else 1)}
        for n in cuts:
            with open(f"{files}/{n:05d}-{name}", "wb") as file:
                file.write(data[:n])
        if name.endswith(".png"):  # every chunk has a CRC
            for at in range(8, len(data), 7 if name == "a.png" else 1):
                with open(f"{files}/flip{at:05d}-{name}", "wb") as file:
                    file.write(data[:at] + bytes([data[at] ^ 16]) + data[at + 1:])
            with open(f"{files}/noend-{name}", "wb") as file:
                file.write(data[:-12])
    names = sorted(os.listdir(files))
    passed = [name for name, line in zip(names, read([f"{files}/{n}" for n in names])) if line.startswith("0 ")]
    play.equal("damaged pictures that were read", passed, [])
    text = chunk(b"tEXt", b"Title\0photo")
    png("text.png", RGB, 8, 2, text[:-1] + bytes([text[-1] ^ 1]))
    result = play.up("text.png", "o.png")
    play.done(result)
    play.check(result.err.count("left out") == 1, f"a damaged text: {result.err}")
    with open("a.jpg", "rb") as file:
        data = file.read()
    with open("flip.jpg", "wb") as file:
        file.write(data[:1200] + bytes(b ^ 0x55 for b in data[1200:1260]) + data[1260:])
    with open("padded.jpg", "wb") as file:  # whole, with bytes of a camera behind the last pixel and the end
        file.write(data[:-2] + b"\0\0" + data[-2:] + b"trailer of a phone")
    play.refused(play.up("flip.jpg", "o.png"), 65, "flip.jpg", "damaged or cut off")
    play.equal("left behind", play.leftovers("o.png"), [])
    play.done(play.up("padded.jpg", "o.png"))
    play.remove("list")
    os.mkdir("list")
    for number, name in enumerate(("a.png", "flip.jpg", "a.png")):
        shutil.copy(name, f"list/{number}{name[-4:]}")
    play.refused(play.up("list", "out"), 65, "list/1.jpg")


def case_mutations():
    """Files with random changes: the reader ends, without a signal."""
    image(RGB).save("m.png", icc_profile=profile(), exif=exif(3))
    image(RGB).save("m.jpg", icc_profile=profile(), exif=b"Exif\0\0" + exif(6), progressive=True)
    image(RGB).save("m.webp", lossless=True, icc_profile=profile(), exif=exif(6), xmp=xmp(6))
    image(RGB).convert("CMYK").save("c.jpg")
    tiff("m.tif", RGBA, 2, planar=True, tile=16, extra=1)
    tiff("c.tif", RGBA, 5, compressed=True)
    ycbcr("y.tif")
    tool("tiffcp", "-c", "lzw", "m.tif", "w.tif")
    play.done(play.up("m.jpg", "e.tif"))
    result = play.run([READER, "--mutate", os.environ.get("RESR_FUZZ_SECONDS", "5"), "m.png", "m.jpg", "m.webp", "c.jpg",
                       "m.tif", "c.tif", "y.tif", "w.tif", "e.tif"])
    play.done(result)


def case_rotated_video():
    """Images of a video that is to be shown turned are turned as ffmpeg turns it."""
    play.ffmpeg("-f lavfi -i testsrc2=s=32x24:d=0.08 -pix_fmt yuv444p -c:v libx264 -qp 0 flat.mp4")
    play.done(play.up("flat.mp4", "plain/"))
    reference = Image.open("plain/frame00000001.png").convert("RGB")
    for degrees in (90, 180, 270):
        play.ffmpeg("-i flat.mp4 -c copy -metadata:s:v:0 rotate={d} turned.mp4", d=degrees)
        play.ffmpeg("-i turned.mp4 -frames:v 1 -vf scale=iw*2:ih*2:flags=neighbor shown.png")
        shown = Image.open("shown.png").convert("RGB")
        for ending in ("png", "bmp"):
            play.done(play.up("turned.mp4", f"%d.{ending}", clean=False, *("--overwrite",)))
            got = Image.open(f"1.{ending}").convert("RGB")
            play.equal(f"{degrees}: size", got.size, shown.size)
            ways = [way for way in (Image.ROTATE_90, Image.ROTATE_180, Image.ROTATE_270)
                    if reference.transpose(way).tobytes() == got.tobytes()]
            play.equal(f"{degrees} degrees, {ending}: turned once, exactly", len(ways), 1)
            difference = sum(abs(a - b) for a, b in zip(got.tobytes(), shown.tobytes())) / len(got.tobytes())
            play.check(difference < 3, f"{degrees} degrees, {ending}: {difference} levels from what ffmpeg shows")


if __name__ == "__main__":
    if not features.check("webp"):
        print("skipped: Pillow without WebP")
        sys.exit(play.SKIPPED)
    play.main(globals())
