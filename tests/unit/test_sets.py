from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from snellen.data.sample import Fault, ManifestError, Sample, write_manifest
from snellen.data.sets import SETS, SourceError, open_set, parse_data_option, read_csv
from snellen.data.sets.split import split_by_group
from snellen.data.sets.tree import Scale
from snellen.region import FULL

KONIQ_HEADER = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set"
AGIQA_HEADER = "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align"
UHD_HEADER = (
    "image_name,quality_mos,set,subset,orig_width,orig_height,views,likes,favorites,downloads,comments,image_bytes,"
    "user_name,page_url,image_name_orig"
)
SPAQ_HEADER = "Image name,MOS,Brightness,Colorfulness,Contrast,Noisiness,Sharpness"
CSIQ_HEADER = ",,,image,dst_idx,dst_type,dst_lev,dmos_std,dmos"


def pictures(root: Path, names: Iterable[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (90, 120, 30)).save(path)


def write(root: Path, name: str, *lines: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def koniq(root: Path) -> None:
    pictures(root, (f"1024x768/{name}.jpg" for name in ("10004473376", "10007357496", "1")))
    write(
        root,
        "koniq10k_distributions_sets.csv",
        KONIQ_HEADER,
        "10004473376.jpg,0.0,0.0,0.238095238095,0.695238095238,0.0666666666667,105,77.38,0.527277894494,training",
        "10007357496.jpg,0.0,0.03125,0.46875,0.489583333333,0.0104166666667,96,68.72,0.580003024795,test",
        "1.jpg,0.9,0.1,0.0,0.0,0.0,100,3.0,0.3,validation",
    )


def spaq(root: Path) -> None:
    pictures(root, (f"TestImage/0000{n}.jpg" for n in (1, 2, 3)))
    rows = "00001.jpg,48.86,1,1,1,1,1", "00002.jpg,62.5,1,1,1,1,1", "00003.jpg,0,1,1,1,1,1"
    write(root, "Annotations/MOS and Image attribute scores.csv", SPAQ_HEADER, *rows)


def kadid(root: Path) -> None:
    rows = [
        "I01_01_02.png,I01.png,4.33,0.869",
        "I01_01_01.png,I01.png,4.57,0.496",
        "I02_10_05.png,I02.png,1.0,0",
        "I02_25_03.png,I02.png,3.27,1",
    ]
    pictures(root, ["images/I01.png", "images/I02.png", *(f"images/{row.split(',')[0]}" for row in rows)])
    write(root, "dmos.csv", "dist_img,ref_img,dmos,var", *rows)


def tid(root: Path) -> None:
    # the public archive mixes cases: I01.BMP and i25.bmp, I01_01_1.bmp and i25_...
    pictures(root, ["reference_images/I01.BMP", "reference_images/i25.bmp"])
    pictures(root, (f"distorted_images/{n}.bmp" for n in ("I01_01_1", "i01_16_2", "I25_24_5", "i25_10_5")))
    lines = "5.51429 I01_01_1.bmp", "6.75000 I01_16_2.bmp", "2.25000 i25_24_5.bmp", "0.00000 i25_10_5.bmp"
    write(root, "mos_with_names.txt", *lines)


def csiq(root: Path) -> None:
    folders = "AWGN", "JPEG", "jpeg2000", "fnoise", "BLUR", "contrast"
    pictures(root, ["src_imgs/1600.png", "src_imgs/woman.png"])
    pictures(root, (f"dst_imgs/{folder}/1600.{folder}.1.png" for folder in folders))
    pictures(root, ["dst_imgs/jpeg2000/woman.jpeg2000.5.png"])
    write(
        root,
        "csiq.DMOS.csv",
        "CSIQ,,,,,,,,",
        CSIQ_HEADER,
        ",,,1600,1,noise,1,0.061,0.062",
        ",,,1600,6,contrast,1,0.1,0.25",
        ",,,1600,2,jpeg,1,0.0,0.0",
        ",,,1600,5,blur,1,0.0,0.3",
        ",,,1600,4,fnoise,1,0.0,0.3",
        ",,,1600,3,jpeg 2000,1,0.0,0.3",
        ",,,woman,3,jpeg 2000,5,0.08,1.0",
        ",,,,,,,0.07,",
    )


LIVE_COUNTS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}


def cells(names: Iterable[str]) -> np.ndarray:
    """A MATLAB cell array of texts, as scipy writes it."""
    return np.array([np.array([name]) for name in names] + [None], dtype=object)[:-1]


def live(root: Path) -> None:
    total = sum(LIVE_COUNTS.values())
    dmos, orgs = np.full(total, 54.5), np.ones(total)  # most are unchanged references here, so few pictures do
    dmos[[0, 1, 227, 981]] = 111.7746953, 24.25, -2.64, 97.625
    orgs[[0, 1, 227, 981]] = 0
    references = ["studentsculpture.bmp", "rapids.bmp"] * (total // 2)
    savemat(
        root / "dmos_realigned.mat", {"dmos_new": dmos[None], "dmos_std": dmos[None] * 0 + 11.5, "orgs": orgs[None]}
    )
    savemat(root / "refnames_all.mat", {"refnames_all": cells(references)[None]})
    pictures(root, ("refimgs/studentsculpture.bmp", "refimgs/rapids.bmp"))
    pictures(root, ("jp2k/img1.bmp", "jp2k/img2.bmp", "jpeg/img1.bmp", "fastfading/img174.bmp"))
    for folder in ("wn", "gblur"):
        (root / folder).mkdir()


def live_challenge(root: Path) -> None:
    names = [*(f"t{n}.bmp" for n in range(1, 8)), "3.bmp", "4.bmp", "1024.JPG"]
    (root / "Data").mkdir(parents=True)
    scores = [50.0] * 7 + [63.9634, 25.3353, 100.0]
    savemat(root / "Data/AllImages_release.mat", {"AllImages_release": cells(names)[:, None]})
    savemat(root / "Data/AllMOS_release.mat", {"AllMOS_release": np.array([scores])})
    savemat(root / "Data/AllStdDev_release.mat", {"AllStdDev_release": np.full((1, 10), 20.0)})
    pictures(root, (f"Images/{name}" for name in names[7:]))


def pipal(root: Path) -> None:
    pictures(root, ("Train_Ref/A0001.bmp", "Train_Ref/A0002.bmp", "Distortion_1/A0001_00_00.bmp"))
    pictures(root, ("Distortion_2/A0001_03_01.bmp", "Distortion_4/A0002_06_26.bmp"))
    write(root, "Train_Label/A0001.txt", "A0001_00_00.bmp,1520.0648", "A0001_03_01.bmp,1835.9856")
    write(root, "Train_Label/A0002.txt", "A0002_06_26.bmp,1257.06")


def agiqa(root: Path) -> None:
    names = "AttnGAN_normal_000.jpg", "sd1.5_normal_000.jpg", "AttnGAN_normal_060.jpg"
    pictures(root, (f"images/{name}" for name in names))
    style = '"artwork with only triangles, anime style",,,anime style'
    write(
        root,
        "data.csv",
        AGIQA_HEADER,
        f"{names[0]},statue of a man,,,,0.965602553,0.223270101,0.40889324,0.615607722",
        f"{names[1]},statue of a man,,,,3.5,0.25,0.4,0.6",
        f"{names[2]},{style},0.919776796,0.719282241,0.850496237,0.842552058",
    )


def flive(root: Path) -> None:
    names = "blur_dataset/motion0044.jpg", "voc_emotic_ava/EMOTIC__cw.jpg", "voc_emotic_ava/AVA__1.jpg"
    pictures(root, (f"database/{name}" for name in names))
    scores = "75.44372347614072", "59.64871868", "0.0"
    rows = [f"{name},{score}" for name, score in zip(names, scores, strict=True)]
    write(root, "database/labels_image.csv", "name,mos", *rows)
    patch = "mos_patch_1,name_patch,width_patch_1,height_patch_1,mos_image,name_image,width_image,height_image"
    write(root, "database/labels640.csv", patch, f"79.47,patches/EMOTIC__cw.jpg,480,264,59.6,{names[1]},1200,660")
    padded = [f"1,p.jpg,4,2,75.4,{names[0]},500,300,False", f"1,p.jpg,4,2,0.0,{names[2]},500,300,True"]
    write(root, "database/labels=640_padded.csv", f"{patch},is_valid", *padded)


def cid2013(root: Path) -> None:
    pictures(root, ("IS1/co1/IS_I_C01_D01.jpg", "IS1/co1/IS_I_C01_D02.jpg", "IS6/co8/IS_VI_C08_D14.jpg"))
    pictures(root, ["IS6/co1/IS_VI_C01_D01.jpg"])
    write(
        root,
        "CID2013 data - version 12112014.csv",
        "Source_ID,Image set specific  MOS,Realigned MOS",
        "IS_I_C01_D01,20,3.34364303351907",
        "IS_I_C01_D02,80,71.1818902079248",
        "IS_VI_C08_D14,30,-9.549",
        "IS_VI_C01_D01,30,45",
    )


def uhd(root: Path) -> None:
    pictures(root, ("training/1.jpg", "validation/7.jpg", "test/9.jpg"))
    tail = "5515,3375,1,1,1,1,1,2954877,who,https://example.org/,x.jpg"
    rows = f"1.jpg,0.76,training,,{tail}", f"7.jpg,0.5,validation,exclusive,{tail}", f"9.jpg,0.2865,test,,{tail}"
    write(root, "uhd-iqa-metadata.csv", UHD_HEADER, *rows)


TREES = {
    "KonIQ-10k": koniq,
    "SPAQ": spaq,
    "KADID-10k": kadid,
    "TID2013": tid,
    "CSIQ": csiq,
    "LIVE": live,
    "LIVE-Challenge": live_challenge,
    "PIPAL": pipal,
    "AGIQA-3K": agiqa,
    "FLIVE": flive,
    "CID2013": cid2013,
    "UHD-IQA": uhd,
}
# Worked by hand from the rows above: MOS, and the standard deviation where the set has one.
EXPECTED = {
    "KonIQ-10k": ([3.828571, 3.479167, 1.1], [0.527278, 0.580003, 0.3]),
    "SPAQ": ([2.9544, 3.5, 1.0], None),
    "KADID-10k": ([4.33, 4.57, 1.0, 3.27], [0.869, 0.496, 0.0, 1.0]),
    "TID2013": ([3.450796, 4.0, 2.0, 1.0], None),
    "CSIQ": ([4.752, 4.0, 5.0, 3.8, 3.8, 3.8, 1.0], [0.244, 0.4, 0.0, 0.0, 0.0, 0.0, 0.32]),
    # 5 - 4 (dmos + 3) / 115
    "LIVE": ([1.007837, 4.052174, 4.987478, 1.5], [0.4] * 4),
    "LIVE-Challenge": ([3.558536, 2.013412, 5.0], [0.8] * 3),
    # 1 + 4 (Elo - 900) / 950
    "PIPAL": ([3.610799, 4.940992, 2.503411], None),
    "AGIQA-3K": ([1.772482, 3.8, 1.735821], [0.178616, 0.2, 0.575426]),
    "FLIVE": ([4.017749, 3.385949, 1.0], None),
    # 1 + 4 (MOS + 10) / 110
    "CID2013": ([1.485223, 3.952069, 1.0164, 3.0], None),
    "UHD-IQA": ([4.04, 3.0, 2.146], None),
}
BEST = {"CSIQ": "1600.JPEG.1.png", "LIVE": "jpeg/img1.bmp", "KADID-10k": "I01_01_01.png", "PIPAL": "A0001_03_01.bmp"}


@pytest.fixture(params=sorted(TREES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, list[Sample]]:
    TREES[request.param](tmp_path)
    return request.param, tmp_path, open_set(request.param, tmp_path)


def test_each_set_has_a_tree_here_or_in_test_duplicates() -> None:
    assert set(SETS) == {*TREES, "BIQ2021"}


def test_each_set_is_read_on_the_scale_of_mos(opened: tuple[str, Path, list[Sample]]) -> None:
    name, root, samples = opened
    mos, std = EXPECTED[name]
    assert [sample.mos for sample in samples] == pytest.approx(mos, abs=1e-6)
    if std is None:
        assert [sample.std for sample in samples] == [None] * len(samples)
    else:
        assert [sample.std for sample in samples] == pytest.approx(std, abs=1e-6)
    for sample in samples:
        assert Path(sample.path).is_file() and Path(sample.path).is_relative_to(root)
        assert sample.reference is None or Path(sample.reference).is_file()
    best = max(samples, key=lambda sample: sample.mos or 0)
    assert best.path.endswith(BEST.get(name, ""))


def test_no_group_or_reference_is_in_two_splits(opened: tuple[str, Path, list[Sample]]) -> None:
    name, _, samples = opened
    places: dict[str, set[str]] = {}
    for sample in samples:
        places.setdefault(sample.group or sample.reference or sample.path, set()).add(sample.split)
    assert all(len(splits) == 1 for splits in places.values())
    assert "test" in {sample.split for sample in samples}
    if name not in ("BIQ2021", "KonIQ-10k", "FLIVE", "UHD-IQA"):  # those have an official split
        assert [sample.split for sample in split_by_group(samples)] == [sample.split for sample in samples]


def test_each_file_that_is_missing_is_named_with_the_address_of_the_set(opened: tuple[str, Path, list[Sample]]) -> None:
    name, root, samples = opened
    Path(samples[-1].path).unlink()
    with pytest.raises(SourceError, match="is missing; the copy is incomplete") as caught:
        open_set(name, root)
    assert Path(samples[-1].path).name.lower() in str(caught.value).lower()
    assert SETS[name].where in str(caught.value)
    assert re.search(r": (line|entry) \d+: ", str(caught.value))
    with pytest.raises(SourceError, match=re.escape(SETS[name].where)):
        open_set(name, root / "elsewhere")


def test_official_splits_and_counts(tmp_path: Path) -> None:
    for name, splits, counts in (
        ("KonIQ-10k", ["train", "test", "val"], [105, 96, 100]),
        ("UHD-IQA", ["train", "val", "test"], [20, 20, 20]),
        ("FLIVE", ["train", "test", "val"], [None] * 3),
    ):
        TREES[name](tmp_path / name)
        samples = open_set(name, tmp_path / name)
        assert [sample.split for sample in samples] == splits
        assert [sample.n for sample in samples] == counts


def test_subsets_and_groups(tmp_path: Path) -> None:
    def opened(name: str) -> list[Sample]:
        (tmp_path / name).mkdir()
        TREES[name](tmp_path / name)
        return open_set(name, tmp_path / name)

    assert [sample.subset for sample in opened("CID2013")] == ["IS1", "IS1", "IS6", "IS6"]
    assert [sample.subset for sample in opened("LIVE")] == ["jp2k", "jp2k", "jpeg", "fastfading"]
    assert [sample.subset for sample in opened("AGIQA-3K")] == ["AttnGAN", "sd1.5", "AttnGAN"]
    assert [sample.subset for sample in opened("FLIVE")] == ["blur_dataset", "voc_emotic_ava", "voc_emotic_ava"]
    assert [sample.subset for sample in opened("UHD-IQA")] == ["", "exclusive", ""]
    assert [sample.subset for sample in opened("PIPAL")][1:] == [
        "GAN-based super-resolution",
        "traditional distortions",
    ]
    tid_samples = opened("TID2013")
    assert [sample.group for sample in tid_samples] == ["i01", "i01", "i25", "i25"]
    assert [Path(sample.reference or "").name for sample in tid_samples] == ["I01.BMP"] * 2 + ["i25.bmp"] * 2


def test_faults_are_those_that_were_published(tmp_path: Path) -> None:
    def faults(name: str) -> list[tuple[Fault, ...]]:
        (tmp_path / name).mkdir()
        TREES[name](tmp_path / name)
        return [sample.faults for sample in open_set(name, tmp_path / name)]

    # the first level of KADID's blur shows nothing, its third level of contrast is an increase
    blur, jpeg = Fault("gaussian_blur", "blur", 2, FULL), Fault("jpeg", "compression", 5, FULL)
    assert faults("KADID-10k") == [(blur,), (), (jpeg,), ()]
    assert faults("TID2013") == [(Fault("white_noise", "noise", 1, FULL),), (), (), (jpeg,)]
    assert [fault.kind for (fault,) in faults("CSIQ")] == [
        *("noise", "low contrast", "compression", "blur", "noise", "compression", "compression")
    ]
    assert faults("LIVE") == [()] * 4


def test_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    koniq(tmp_path)
    table = tmp_path / "koniq10k_distributions_sets.csv"
    good = table.read_text()
    for old, new, says in (
        (",100,3.0,0.3,", ",many,3.0,0.3,", "line 4: c_total 'many' is not a number"),
        (",100,3.0,0.3,", ",1.5,3.0,0.3,", "line 4: c_total 1.5 is not a whole number"),
        (",100,3.0,0.3,", ",100,3.0,-1,", "line 4: SD -1.0 is no standard deviation"),
        ("0.9,0.1,", "nan,0.1,", "line 4: c1..c5 nan is outside 1..5"),
        ("0.9,0.1,", "0.2,0.1,", "line 4: c1..c5 0.4 is outside 1..5"),
        ("validation", "holdout", "line 4: set 'holdout' is not one of training, validation, test"),
        ("1.jpg,0.9", ",0.9", "line 4: no image_name"),
        ("c_total", "total", "no line holds the columns"),
    ):
        assert good.count(old) >= 1
        table.write_text(good.replace(old, new))
        with pytest.raises(SourceError, match=re.escape(says)):
            open_set("KonIQ-10k", tmp_path)
    table.unlink()
    with pytest.raises(SourceError, match=r"koniq10k_distributions_sets.csv: missing; KonIQ-10k is published at https"):
        open_set("KonIQ-10k", tmp_path)


def test_arrays_of_other_lengths_or_files_are_refused(tmp_path: Path) -> None:
    live(tmp_path)
    savemat(tmp_path / "refnames_all.mat", {"refnames_all": cells(["a.bmp"])[None]})
    with pytest.raises(SourceError, match="not equally long: .*'refnames_all': 1"):
        open_set("LIVE", tmp_path)
    savemat(tmp_path / "refnames_all.mat", {"names": [1]})
    with pytest.raises(SourceError, match="refnames_all.mat: holds no refnames_all"):
        open_set("LIVE", tmp_path)


def test_workbooks_are_read_as_published(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    csiq(tmp_path)
    exported = tmp_path / "csiq.DMOS.csv"
    expected = open_set("CSIQ", tmp_path)
    book = openpyxl.Workbook()
    sheet = book.create_sheet("all_by_image")
    for line in exported.read_text().splitlines():
        values = [
            None if cell == "" else float(cell) if re.fullmatch(r"[\d.]+", cell) else cell for cell in line.split(",")
        ]
        sheet.append(values)
    exported.unlink()
    book.save(tmp_path / "csiq.DMOS.xlsx")
    assert open_set("CSIQ", tmp_path) == expected
    del book["all_by_image"]
    book.save(tmp_path / "csiq.DMOS.xlsx")
    with pytest.raises(SourceError, match="no sheet 'all_by_image'"):
        open_set("CSIQ", tmp_path)


def test_a_scale_maps_its_ends_and_inverts_differences() -> None:
    assert [Scale(0, 9).mos(score) for score in (0, 4.5, 9)] == [1.0, 3.0, 5.0]
    assert [Scale(1, 0).mos(score) for score in (0, 0.25, 1)] == [5.0, 4.0, 1.0]
    assert Scale(112, -3).std(11.5) == pytest.approx(0.4)
    for score in (-0.1, 9.1, float("nan")):
        with pytest.raises(ValueError, match="outside 0..9"):
            Scale(0, 9).mos(score)


def test_a_fifth_of_the_groups_is_test_and_a_tenth_val() -> None:
    samples = [Sample(f"/x/{n}_{k}.png", group=f"i{n:02d}") for n in range(25) for k in range(2)]
    split = split_by_group(samples)
    assert [sum(sample.split == name for sample in split) for name in ("test", "val", "train")] == [10, 4, 36]
    assert [sample.split for sample in split_by_group(samples[::-1])][::-1] == [sample.split for sample in split]
    assert split_by_group([]) == []


def test_a_plain_table_is_read(tmp_path: Path) -> None:
    pictures(tmp_path, ("a.png", "b.png", "clean.png"))
    table = tmp_path / "table.csv"
    table.write_text("image,mos,std,n,group,reference\na.png,3.5,0.5,12,s1,clean.png\n\nb.png,5,,,s1,\n")
    first, second = read_csv(table)
    assert (first.path, first.mos, first.std, first.n) == (str(tmp_path / "a.png"), 3.5, 0.5, 12)
    assert (first.group, first.reference) == ("s1", str(tmp_path / "clean.png"))
    assert (second.mos, second.std, second.n, second.reference) == (5.0, None, None, None)
    assert first.split == second.split
    table.write_text("mos,image,split\n3,a.png,val\n2,b.png,test\n")
    assert [sample.split for sample in read_csv(table)] == ["val", "test"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,mos,score\na.png,3,1\n", "line 1: unknown column 'score'"),
        ("image,std\na.png,3\n", "line 1: the columns image and mos are needed"),
        ("image,mos,mos\na.png,3,3\n", "line 1: a column is named twice"),
        ("", "line 1: the columns image and mos are needed"),
        ("image,mos\nb.png,3\na.png,nan\n", "line 3: mos nan is outside 1..5"),
        ("image,mos\nb.png,3\na.png,5.5\n", "line 3: mos 5.5 is outside 1..5"),
        ("image,mos\na.png,good\n", "line 2: mos 'good' is not a number"),
        ("image,mos\na.png,\n", "line 2: no mos"),
        ("image,mos,n\na.png,3,2.5\n", "line 2: n 2.5 is not a whole number"),
        ("image,mos,n\na.png,3,inf\n", "line 2: n inf is not a whole number"),
        ("image,mos\na.png,3,4\n", "line 2: 3 cells under 2 columns"),
        ("image,mos\na.png,3\n./a.png,3\n", "a.png is listed in line 2 already"),
        ("image,mos\ngone.png,3\n", "gone.png is not there"),
        ("image,mos,reference\na.png,3,gone.png\n", "gone.png is not there"),
        ("image,mos,split\na.png,3,training\n", "line 2: split 'training'"),
    ],
)
def test_a_plain_table_with_a_bad_row_is_refused(tmp_path: Path, text: str, says: str) -> None:
    pictures(tmp_path, ("a.png", "b.png"))
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ManifestError) as caught:
        read_csv(tmp_path / "table.csv")
    assert str(caught.value).startswith(f"{tmp_path / 'table.csv'}: line ")
    assert says in str(caught.value)


def test_a_data_option_is_a_set_a_manifest_or_a_table(tmp_path: Path) -> None:
    kadid(tmp_path / "a=b")
    samples = parse_data_option(f"kadid10k={tmp_path / 'a=b'}")
    assert samples == open_set("KADID-10k", tmp_path / "a=b")
    write_manifest(samples, tmp_path / "a=b" / "m.jsonl")
    assert parse_data_option(str(tmp_path / "a=b" / "m.jsonl")) == samples
    (tmp_path / "t.csv").write_text("image,mos\na=b/images/I01_01_01.png,3\n")
    assert [sample.mos for sample in parse_data_option(str(tmp_path / "t.csv"))] == [3.0]
    Path(samples[0].path).unlink()
    with pytest.raises(ManifestError, match="line 1: .* is not there"):
        parse_data_option(str(tmp_path / "a=b" / "m.jsonl"))
    for text in ("AVA=/data", "pictures/", ""):
        with pytest.raises(SourceError, match="give NAME=ROOT with one of BIQ2021, KonIQ-10k"):
            parse_data_option(text)
    with pytest.raises(SourceError, match="unknown data set 'AVA'"):
        open_set("AVA", tmp_path)
