"""File formats by their endings: tables that are read, data that is not read, and images."""

from pathlib import Path

UNCOMPRESSED = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "tsv"}
COMPRESSED = {f"{ending}.gz": form for ending, form in UNCOMPRESSED.items()}
TABLE_FORMATS = {**UNCOMPRESSED, **COMPRESSED, ".parquet": "parquet"}
TABLE_ENDINGS = f"{', '.join(UNCOMPRESSED)} (each also with .gz) or .parquet"  # for errors
# Data in a format that is not read.
UNREAD_DATA = (".txt", ".arrow", ".feather", ".xlsx", ".xls", ".gz", ".zip", ".bz2", ".xz", ".zst")
# Files that describe a data set that was saved or downloaded.
DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")

IMAGES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
# Images that Pillow cannot read without a plug-in, or not as a picture of pixels.
UNREAD_IMAGES = (".heic", ".heif", ".jxl", ".svg", ".psd", ".dng", ".cr2", ".nef", ".ico", ".npy", ".npz")


def stem_and_ending(path: Path) -> tuple[str, str]:
    """Return a file's name without its ending, and the ending in lower case; ``.csv.gz`` is one ending.

    >>> stem_and_ending(Path("data/Train.JSONL.gz")), stem_and_ending(Path("train.parquet"))
    (('Train', '.jsonl.gz'), ('train', '.parquet'))
    """
    compressed = path.suffix.lower() == ".gz"
    inner = Path(path.stem) if compressed else path
    return inner.stem, inner.suffix.lower() + ".gz" * compressed


def table_format(path: Path) -> str | None:
    """Return the format of a table by its ending; None for a file that is not read as a table.

    >>> table_format(Path("dev.tsv.gz")), table_format(Path("dev.xlsx"))
    ('tsv', None)
    """
    return TABLE_FORMATS.get(stem_and_ending(path)[1])


def is_data(path: Path) -> bool:
    """Return whether a file's ending is one of data, read or not."""
    return table_format(path) is not None or path.suffix.lower() in UNREAD_DATA


def is_image(path: Path) -> bool:
    """Return whether a file's ending is one of the images that are read."""
    return path.suffix.lower() in IMAGES
