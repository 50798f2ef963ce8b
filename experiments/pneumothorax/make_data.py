"""Write drawn chest X-rays in the formats of SIIM-ACR Pneumothorax Segmentation, the same bytes each time."""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from kagkit.formats.rle import encode
from kagkit.foundation.files import write_file
from kagkit.foundation.seeds import seed_of, stream

DATA = Path(__file__).parent / "data"
SIDE = 48
TRAIN_IMAGES, TEST_IMAGES = 240, 80
MISLABELLED = 0.03
ACROSS, DOWN = np.meshgrid(*[np.linspace(-1, 1, SIDE)] * 2)


class Patient(NamedTuple):
    """Who is shown."""

    name: str
    age: int
    sex: str


class Image(NamedTuple):
    """What is shown, and where the air is."""

    patient: Patient
    name: str
    view: str
    pixels: np.ndarray
    masks: list[np.ndarray]  # one for each lung that has air beside it


def uid(*names):
    return f"2.25.{seed_of('pneumothorax', *names)}"  # a root that nobody has to register


def ellipse(across, down, width, height):
    """Below 1 inside, 1 on the edge."""
    return ((ACROSS - across) / width) ** 2 + ((DOWN - down) / height) ** 2


def draw_lung(random, side, sick):
    """What a lung adds to the light of a body, and the air beside it: a dark crescent behind a thin line."""
    across, down = side * random.uniform(0.43, 0.49), random.uniform(-0.05, 0.08)
    width, height = random.uniform(0.29, 0.35), random.uniform(0.58, 0.68)
    lung = ellipse(across, down, width, height) < 1
    ribs = 0.09 * np.cos(2 * np.pi * random.uniform(2.6, 3.2) * (DOWN + 0.35 * (ACROSS - across) ** 2))
    vessels = 0.05 * random.standard_normal((SIDE, SIDE))
    light = np.where(lung, -0.3 + ribs + vessels, 0)
    air = np.zeros_like(lung)
    if sick:
        shrunk = random.uniform(0.72, 0.86)
        place = across - side * width * (1 - shrunk), down + height * (1 - shrunk)
        rest = ellipse(*place, width * shrunk, height * shrunk)
        air = lung & (rest >= 1) & (random.uniform(0.1, 0.5) > DOWN)
        light = np.where(air, -0.44 + ribs, light)
        light = np.where(lung & (np.abs(rest - 1) < 0.12) & ~air, light + 0.14, light)
    elif random.random() < 0.2:  # a fold of the skin: a line like that of a lung's edge, without air
        fold = np.abs(ACROSS - across - random.uniform(-0.1, 0.1) - 0.3 * DOWN) < 0.03
        light = np.where(lung & fold, light + 0.12, light)
    return light, air


def draw_image(patient, number, chance):
    name = uid("image", patient.name, number)
    random = stream("pneumothorax", "image", name)
    first = random.random() < chance
    lungs = [draw_lung(random, -1, first), draw_lung(random, 1, first and random.random() < 0.3)]
    if random.random() < 0.5:
        lungs = [(light[:, ::-1], air[:, ::-1]) for light, air in lungs]
    heart = 0.15 * (ellipse(0.12, 0.35, 0.3, 0.35) < 1)
    body = 0.72 - 0.12 * ellipse(0, 0, 1, 1) + heart + sum(light for light, _ in lungs)
    shown = random.uniform(0.9, 1.1) * body + 0.045 * random.standard_normal((SIDE, SIDE))
    pixels = np.clip(np.round(shown * 255), 0, 255).astype("uint8")
    masks = [air for _, air in lungs if air.any()]
    return Image(patient, name, "AP" if random.random() < 0.4 else "PA", pixels, masks)


def draw_images(split, count):
    """Images of patients, who have one to six each; of young men, more are ill."""
    images = []
    while len(images) < count:
        name = f"{split}-{len(images):03d}"
        random = stream("pneumothorax", "patient", name)
        patient = Patient(name, int(random.integers(16, 90)), "MF"[int(random.integers(2))])
        chance = 0.22 + 0.15 * (patient.sex == "M") + 0.1 * (patient.age < 40)
        images += [draw_image(patient, number, chance) for number in range(random.integers(1, 7))]
    return images[:count]


def to_dicom(image):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = image.name
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("writer")  # pydicom's own would change with its version
    meta.ImplementationVersionName = "PNEUMOTHORAX"
    file = Dataset()
    file.file_meta = meta
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, image.name
    file.StudyInstanceUID, file.SeriesInstanceUID = uid("study", image.name), uid("series", image.name)
    file.StudyDate, file.StudyTime, file.Modality = "20190624", "000000", "CR"
    file.PatientName = file.PatientID = image.patient.name
    file.PatientAge, file.PatientSex = f"{image.patient.age:03d}Y", image.patient.sex
    file.BodyPartExamined, file.ViewPosition = "CHEST", image.view
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.Rows, file.Columns = image.pixels.shape
    file.BitsAllocated = file.BitsStored = 8
    file.HighBit, file.PixelRepresentation = 7, 0
    file.PixelData = image.pixels.tobytes()
    content = BytesIO()
    file.save_as(content, enforce_file_format=True)
    return Path(file.StudyInstanceUID, file.SeriesInstanceUID, f"{image.name}.dcm"), content.getvalue()


def read_masks(images):
    """The cells that readers wrote down, a line each: mostly what is there, and -1 for none."""
    borrowed = next(image.masks for image in images if image.masks)
    for image in sorted(images, key=lambda image: image.name):
        masks = image.masks
        if stream("pneumothorax", "reader", image.name).random() < MISLABELLED:
            masks = [] if masks else borrowed[:1]
        for cell in [encode(mask, "relative") for mask in masks] or ["-1"]:
            yield image.name, cell


def write_images(folder, images):
    for image in images:
        place, content = to_dicom(image)
        write_file(DATA / folder / place, content)
    print(f"data/{folder}: {len(images):,} images")


def write_lines(name, header, lines):
    write_file(DATA / name, "".join(f"{line}\n" for line in [header, *lines]))
    print(f"data/{name}: {len(lines):,} lines")


def main():
    train, test = draw_images("train", TRAIN_IMAGES), draw_images("test", TEST_IMAGES)
    write_images("dicom-images-train", train)
    write_images("dicom-images-test", test)

    # As SIIM wrote it: a space after the comma, also in the header, and a line for each mask.
    lines = [f"{name}, {cell}" for name, cell in read_masks(train)]
    write_lines("train-rle.csv", "ImageId, EncodedPixels", lines)
    names = sorted(image.name for image in test)
    write_lines("sample_submission.csv", "ImageId,EncodedPixels", [f"{name},-1" for name in names])

    # A host would hide it, and asks for one line an image; no manifest or recipe may read it.
    truth = {image.name: np.any([np.zeros((SIDE, SIDE), bool), *image.masks], axis=0) for image in test}
    lines = [f"{name},{encode(truth[name], 'relative')}" for name in names]
    write_lines("solution.csv", "ImageId,EncodedPixels", lines)


if __name__ == "__main__":
    main()
