"""Read SIIM's tables and DICOM files: a row is an image, with a list of its masks as the host wrote them."""

import numpy as np
import pandas as pd
from pydicom import dcmread

from kagkit.formats.rle import encode, merge

SHAPE = (48, 48)
DIALECT = "relative"
TAGS = ["PatientID", "PatientAge", "PatientSex", "ViewPosition"]


def find_images(folders):
    """Each DICOM file by its image, study and series folders passed over."""
    return {file.stem: file for folder in folders for file in folder.rglob("*.dcm")}


def read_tags(file):
    header = dcmread(file, stop_before_pixels=True, specific_tags=TAGS)
    return {tag: str(header[tag].value) for tag in TAGS}


def read_pixels(file):
    """(height, width) light from 0 to 1."""
    image = dcmread(file)
    return image.pixel_array.astype("float32") / (2**image.BitsStored - 1)


def load_rows(part, data):
    # The header has a space after its comma, and so has every line.
    table = data.train if part.split == "train" else data.test
    lines = pd.read_csv(table, skipinitialspace=True, dtype="str")
    images = pd.Index(lines["ImageId"].unique(), name="ImageId")
    if str(part) == "stage2/train":  # the rest is known from stage 1
        rows = lines.groupby("ImageId")[["Usage"]].first().loc[images]
    else:
        files = find_images(data.files)
        rows = pd.DataFrame([read_tags(files[image]) for image in images], index=images)
        rows["PatientAge"] = rows["PatientAge"].str.rstrip("Y").astype(int)
    if part.split == "train":
        masks = lines[lines["EncodedPixels"] != "-1"].groupby("ImageId")["EncodedPixels"].agg(list)
        rows["EncodedPixels"] = [masks.get(image, []) for image in images]
        rows["has_mask"] = images.isin(masks.index)
    return rows


def join_masks(cells):
    """(height, width) truth values: all masks of an image as one."""
    return merge(cells, SHAPE, DIALECT, allow_overlap=True)


def to_lines(masks):
    """One line an image, from a mask of each."""
    cells = {image: encode(np.asarray(mask), DIALECT) for image, mask in masks.items()}
    return pd.DataFrame({"ImageId": list(cells), "EncodedPixels": list(cells.values())})


def make_solution(rows):
    """The truth as the host scores it: one line an image."""
    return to_lines({image: join_masks(cells) for image, cells in rows["EncodedPixels"].items()})
