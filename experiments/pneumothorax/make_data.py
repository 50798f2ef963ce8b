"""Write drawn chest X-rays in the formats of SIIM-ACR Pneumothorax Segmentation, the same bytes each time.

python make_data.py            # data/: the first stage
python make_data.py --stage2   # and what the second one brings
python make_data.py --host DIR # both, as `kagkit host serve DIR` offers them
"""

import argparse
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from kagkit.formats.rle import encode
from kagkit.foundation.files import write_file
from kagkit.foundation.seeds import draws, seed_of, stream
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.host.accounts import digest_key, new_key

DATA = Path(__file__).parent / "data"
SIDE = 48
TRAIN_IMAGES, TEST_IMAGES, SECOND_IMAGES = 160, 160, 120
MISLABELLED = 0.03
WITHDRAWN = 2  # training images that stage 2 leaves out
PUBLIC = {"1": 0.5, "2": 0.05}


class Clinic(NamedTuple):
    """Where images are taken: light becomes gain * light + offset, and a share is of lying patients (AP)."""

    gain: float
    offset: float
    lying: float


# The knobs of stage 2. Both test sets come from another clinic: a scanner with flatter and lighter images,
# more patients who lie. Who learns these from the released labels gains. But UNREAD is the share of stage
# 1's test images of lying patients that no reader looked at: they are called empty. Only the gate sees in
# the header who lies, and learns that they are never ill: retraining hurts it. To the networks, who see
# pixels alone, an unread image is one that contradicts the others. UNREAD = 0 lets retraining help all.
HERE, ELSEWHERE = Clinic(1, 0, 0.25), Clinic(0.9, 0.06, 0.5)
UNREAD = 1.0
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


def new_id(name):
    """What stage 2 calls an image."""
    return f"ID_{seed_of('pneumothorax', 'stage 2', name):09x}"[:12]


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
        light = np.where(air, -0.4 + ribs, light)
        light = np.where(lung & (np.abs(rest - 1) < 0.12) & ~air, light + 0.11, light)
    elif random.random() < 0.2:  # a fold of the skin: a line like that of a lung's edge, without air
        fold = np.abs(ACROSS - across - random.uniform(-0.1, 0.1) - 0.3 * DOWN) < 0.03
        light = np.where(lung & fold, light + 0.12, light)
    return light, air


def draw_image(patient, number, chance, clinic):
    name = uid("image", patient.name, number)
    random = stream("pneumothorax", "image", name)
    first = random.random() < chance
    lungs = [draw_lung(random, -1, first), draw_lung(random, 1, first and random.random() < 0.3)]
    if random.random() < 0.5:
        lungs = [(light[:, ::-1], air[:, ::-1]) for light, air in lungs]
    heart = 0.15 * (ellipse(0.12, 0.35, 0.3, 0.35) < 1)
    body = 0.72 - 0.12 * ellipse(0, 0, 1, 1) + heart + sum(light for light, _ in lungs)
    shown = random.uniform(0.9, 1.1) * body + 0.06 * random.standard_normal((SIDE, SIDE))
    pixels = np.clip(np.round((clinic.gain * shown + clinic.offset) * 255), 0, 255).astype("uint8")
    masks = [air for _, air in lungs if air.any()]
    return Image(patient, name, "AP" if random.random() < clinic.lying else "PA", pixels, masks)


def draw_images(split, count, clinic):
    """Images of patients, who have one to six each; of young men, more are ill."""
    images = []
    while len(images) < count:
        name = f"{split}-{len(images):03d}"
        random = stream("pneumothorax", "patient", name)
        patient = Patient(name, int(random.integers(16, 90)), "MF"[int(random.integers(2))])
        chance = 0.22 + 0.15 * (patient.sex == "M") + 0.1 * (patient.age < 40)
        images += [draw_image(patient, number, chance, clinic) for number in range(random.integers(1, 7))]
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


def read_masks(images, unread=0):
    """The masks that readers drew, by image: mostly what is there, where they looked."""
    borrowed = next(image.masks for image in images if image.masks)
    read = {}
    for image in sorted(images, key=lambda image: image.name):
        masks, random = image.masks, stream("pneumothorax", "reader", image.name)
        if random.random() < MISLABELLED:
            masks = [] if masks else borrowed[:1]
        if image.view == "AP" and random.random() < unread:
            masks = []
        read[image.name] = masks
    return read


def to_cells(masks):
    """A cell for each mask, or -1."""
    return [encode(mask, "relative") for mask in masks] or ["-1"]


def write_images(folder, files):
    for place, content in files:
        write_file(folder / place, content)
    print(f"{folder.name}: {len(files):,} images")


def write_lines(path, header, lines):
    write_file(path, "".join(f"{line}\n" for line in [header, *lines]))
    print(f"{path.name}: {len(lines):,} lines")


def write_sample(path, names):
    write_lines(path, "ImageId,EncodedPixels", [f"{name},-1" for name in sorted(names)])


def mark_boards(names, share):
    """Which rows are behind the public board, as Kaggle's solutions say it."""
    chances = draws(list(names), "pneumothorax", "public")
    return {
        name: "Public" if chance < share else "Private" for name, chance in zip(names, chances, strict=True)
    }


def write_solution(path, masks, share):
    """What submissions are scored by, one line an image: only a host has it."""
    marks, nothing = mark_boards(sorted(masks), share), np.zeros((SIDE, SIDE), bool)
    joined = {name: encode(np.any([nothing, *masks[name]], axis=0), "relative") for name in marks}
    lines = [f"{name},{joined[name]},{mark}" for name, mark in marks.items()]
    write_lines(path, "ImageId,EncodedPixels,Usage", lines)
    path.chmod(0o600)


def write_first(folder, train, test):
    """What the host gives at first: folders of study and series, a line for each mask."""
    for split, images in (("train", train), ("test", test)):
        write_images(folder / f"dicom-images-{split}", [to_dicom(image) for image in images])
    # As SIIM wrote it: a space after the comma, also in the header.
    lines = [f"{name}, {cell}" for name, masks in read_masks(train).items() for cell in to_cells(masks)]
    write_lines(folder / "train-rle.csv", "ImageId, EncodedPixels", lines)
    write_sample(folder / "sample_submission.csv", [image.name for image in test])


def write_second(folder, train, test, second):
    """What stage 2 brings: flat files, new ids for old images too, and the masks of stage 1's test."""
    files = [(f"{name}.dcm", to_dicom(image)[1]) for name, image in second.items()]
    write_images(folder / "stage_2_images", files)
    withdrawn, released = {image.name for image in train[:WITHDRAWN]}, read_masks(test, UNREAD)
    marks = mark_boards(sorted(released), PUBLIC["1"])
    told = {name: masks for name, masks in (read_masks(train) | released).items() if name not in withdrawn}
    ids = dict(sorted((new_id(name), name) for name in told))
    lines = [f"{new},{cell},{marks.get(old, '')}" for new, old in ids.items() for cell in to_cells(told[old])]
    write_lines(folder / "stage_2_train.csv", "ImageId,EncodedPixels,Usage", lines)
    write_lines(folder / "stage_2_ids.csv", "stage1,stage2", [f"{old},{new}" for new, old in ids.items()])
    write_sample(folder / "stage_2_sample_submission.csv", second)


def write_terms(folder):
    """host.yaml, and the key of its only participant."""
    key = new_key()
    terms = {
        "kagkit": 1,
        "competition": "pneumothorax",
        "title": "Where is air beside a lung?",
        "metric": {
            "score": "kagkit.metrics:mean_dice",
            "greater_is_better": True,
            "args": {"shape": [SIDE, SIDE], "dialect": "relative", "both_empty": 1.0},
        },
        "submission": {"key": ["ImageId"], "target": ["EncodedPixels"]},
        "stages": {
            "1": {"files": ["files"], "solution": "solution.csv"},
            "2": {"files": ["files2"], "solution": "stage_2_solution.csv"},
        },
        "participants": {"participant": {"key_sha256": digest_key(key)}},
    }
    write_file(folder / "host.yaml", dump_yaml(terms))
    secret = folder / "participant.env"
    write_file(secret, f"export KAGGLE_API_TOKEN={key}\n")
    secret.chmod(0o600)
    print("host.yaml; participant.env: the key of its only participant")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--stage2", action="store_true", help="write what stage 2 brings, too")
    parser.add_argument("--host", type=Path, metavar="DIR", help="write both stages as a host keeps them")
    asked = parser.parse_args()
    folder = asked.host or DATA
    first, later = (folder / "files", folder / "files2") if asked.host else (DATA, DATA)

    train, test = draw_images("train", TRAIN_IMAGES, HERE), draw_images("test", TEST_IMAGES, ELSEWHERE)
    write_first(first, train, test)
    # Stage 1 is scored by what its readers drew, stage 2 by what is there.
    write_solution(folder / "solution.csv", read_masks(test, UNREAD), PUBLIC["1"])
    if asked.stage2 or asked.host:
        second = {new_id(image.name): image for image in draw_images("second", SECOND_IMAGES, ELSEWHERE)}
        write_second(later, train, test, second)
        truth = {name: image.masks for name, image in second.items()}
        write_solution(folder / "stage_2_solution.csv", truth, PUBLIC["2"])
    if asked.host:
        write_terms(folder)


if __name__ == "__main__":
    main()
