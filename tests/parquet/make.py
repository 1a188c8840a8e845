"""Writes the files beside it: four tiny pictures with their classes, packed as other programs pack them.

They are in the repository, so that the tests need no Python. To make them anew: `python3 make.py`, in this folder.
"""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(color):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(out, "png")
    return out.getvalue()


colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
table = pa.table(
    {
        "image": [{"bytes": png(color), "path": f"{i}.png"} for i, color in enumerate(colors)],
        "label": [1, 0, 1, None],
    }
)
names = {"info": {"features": {"label": {"names": ["cold", "warm"]}}}}
table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
for codec in ["gzip", "zstd", "lz4"]:
    for page in ["1.0", "2.0"]:
        if codec == "lz4" and page == "2.0":
            continue
        pq.write_table(table, f"{codec}-{page[0]}.parquet", compression=codec, data_page_version=page, row_group_size=3)
