"""Makes the JPEG files beside it, one a kind, of one drawn picture: python make.py (Pillow 11 or newer)."""
from PIL import Image, ImageDraw

picture = Image.new("RGB", (90, 70))
picture.putdata([(x * 2 + 40, y * 3 + 20, (x * x + y * y) // 60) for y in range(70) for x in range(90)])
draw = ImageDraw.Draw(picture)
draw.ellipse((8, 10, 50, 52), fill=(230, 90, 40))
draw.ellipse((40, 20, 84, 64), fill=(30, 120, 200), outline=(255, 255, 255), width=3)
for i in range(12):
    draw.line((i * 8, 0, 90 - i * 8, 69), fill=(20 * i, 255 - 20 * i, 128))

exif = Image.Exif()
exif[0x0112] = 6
kinds = {
    "full": dict(subsampling=0),
    "half": dict(subsampling=1),
    "quarter": dict(subsampling=2, optimize=True),
    "restarts": dict(subsampling=2, restart_marker_blocks=3),
    "turned": dict(subsampling=2, exif=exif),
    "progressive": dict(progressive=True),
    "rgb": dict(keep_rgb=True),
}
for name, options in kinds.items():
    picture.save(f"{name}.jpg", quality=85, **options)
picture.convert("L").save("grey.jpg", quality=85)
picture.convert("CMYK").save("cmyk.jpg", quality=85)
