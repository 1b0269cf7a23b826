"""Writes preprocessing.json and folds.json: what scikit-learn computes for small inputs.

Run: python make_goldens.py   (needs scikit-learn and numpy; made with scikit-learn 1.9.1)
"""

import json
import math
import pathlib
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer
from sklearn.model_selection import (GroupKFold, KFold, LeaveOneOut, StratifiedKFold, TimeSeriesSplit)
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).parent
warnings.simplefilter("ignore")


def plain(value):
    """Nested lists with None for NaN."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


nan = np.nan
# Exact in float32: ordinary, constant, large offset, with a missing value, negative, constant zero.
matrix = np.array([
    [1.5, 7.25, 100000.5, 1.0, -3.0, 0.0],
    [2.0, 7.25, 100001.0, nan, -1.0, 0.0],
    [-0.5, 7.25, 100000.25, 3.0, -2.5, 0.0],
    [4.25, 7.25, 100003.75, 3.0, -9.0, 0.0],
    [0.125, 7.25, 99999.0, 5.0, 4.5, 0.0],
])
new = np.array([[3.0, 8.0, 100002.0, nan, 0.0, 1.0], [-8.0, 7.25, 99990.0, 2.0, 20.0, 0.0]])

standard = {}
for mean in (True, False):
    for std in (True, False):
        scaler = StandardScaler(with_mean=mean, with_std=std).fit(matrix)
        standard[f"{mean}_{std}".lower()] = {"transformed": plain(scaler.transform(matrix)),
                                             "new": plain(scaler.transform(new))}
scaler = StandardScaler().fit(matrix)
standard |= {"mean": plain(scaler.mean_), "variance": plain(scaler.var_), "scale": plain(scaler.scale_)}
digits = StandardScaler().fit(load_digits().data)
standard |= {"digits_mean": plain(digits.mean_), "digits_scale": plain(digits.scale_),
             "digits_first": plain(digits.transform(load_digits().data[:1])[0])}

min_max = {}
for low, high, clip in ((0.0, 1.0, False), (-1.0, 3.0, False), (0.0, 1.0, True)):
    scaler = MinMaxScaler(feature_range=(low, high), clip=clip).fit(matrix)
    min_max[f"{low}_{high}_{clip}".lower()] = {"transformed": plain(scaler.transform(matrix)),
                                               "new": plain(scaler.transform(new))}

categories = np.array([[2.0, 0.0, 5.0], [0.0, 1.0, 5.0], [10.0, 0.0, nan], [2.0, 1.0, -1.5]])
unknown = np.array([[7.0, 1.0, 5.0]])
one_hot = {"input": plain(categories), "unknown": plain(unknown)}
for drop in (None, "first", "if_binary"):
    encoder = OneHotEncoder(drop=drop, sparse_output=False, handle_unknown="ignore").fit(categories)
    one_hot[str(drop).lower()] = {"transformed": plain(encoder.transform(categories)),
                                  "unknown": plain(encoder.transform(unknown))}

holes = np.array([[1.0, nan, 4.0], [nan, 2.0, 4.0], [7.0, 9.0, nan], [7.0, 2.0, 1.0], [3.0, 9.0, 1.0]])
imputer = {"input": plain(holes)}
for strategy in ("mean", "median", "most_frequent", "constant"):
    fitted = SimpleImputer(strategy=strategy, fill_value=-1.0, add_indicator=True).fit(holes)
    imputer[strategy] = plain(fitted.transform(holes))

(HERE / "preprocessing.json").write_text(json.dumps({
    "matrix": plain(matrix), "new_rows": plain(new), "standard": standard, "min_max": min_max, "one_hot": one_hot,
    "imputer": imputer}, indent=None, separators=(",", ":")) + "\n")

rng = np.random.default_rng(0)
classes = rng.permutation(np.repeat([3, 0, 7], [17, 9, 5]))
groups = rng.permutation(np.repeat([11, 5, 8, 2, 90], [9, 7, 6, 4, 3]))


def folds(splitter, *arguments, count):
    return [[train.tolist(), test.tolist()] for train, test in splitter.split(np.zeros(count), *arguments)]


(HERE / "folds.json").write_text(json.dumps({
    "classes": classes.tolist(), "groups": groups.tolist(),
    "k_fold_11_4": folds(KFold(4), count=11),
    "stratified_4": folds(StratifiedKFold(4), classes, count=len(classes)),
    "group_3": folds(GroupKFold(3), None, groups, count=len(groups)),
    "time_series_17_4": folds(TimeSeriesSplit(4), count=17),
    "time_series_17_3_max_5_size_2_gap_3": folds(
        TimeSeriesSplit(3, max_train_size=5, test_size=2, gap=3), count=17),
    "leave_one_out_4": folds(LeaveOneOut(), count=4)}, separators=(",", ":")) + "\n")
