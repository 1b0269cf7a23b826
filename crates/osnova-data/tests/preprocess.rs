//! Preprocessing against scikit-learn's numbers (`goldens/make_goldens.py`), its inverses, and its saved form.

use osnova_data::*;
use proptest::prelude::*;
use serde_json::Value;

fn goldens() -> Value {
    serde_json::from_str(include_str!("../goldens/preprocessing.json")).unwrap()
}

/// A matrix of the goldens (null is NaN) and its number of columns.
fn matrix(value: &Value) -> (Vec<f32>, usize) {
    let rows = value.as_array().unwrap();
    let row = |row: &Value| numbers(row).into_iter().map(|number| number as f32).collect::<Vec<f32>>();
    (rows.iter().flat_map(row).collect(), rows[0].as_array().unwrap().len())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

fn data(value: &Value) -> ArrayDataset {
    let (values, width) = matrix(value);
    ArrayDataset::unlabelled(values, [width]).unwrap()
}

/// Equal to f32 rounding, relative to magnitude 1 and above; NaN where NaN.
#[track_caller]
fn close(have: &[f32], want: &[f32]) {
    assert_eq!(have.len(), want.len());
    for (index, (&have, &want)) in have.iter().zip(want).enumerate() {
        let same = (have.is_nan() && want.is_nan()) || (have - want).abs() <= 2e-7 * want.abs().max(1.0);
        assert!(same, "number {index}: {have} instead of {want}");
    }
}

fn saved_and_loaded<T: serde::Serialize + serde::de::DeserializeOwned>(fitted: &T) -> T {
    serde_json::from_str(&serde_json::to_string(fitted).unwrap()).unwrap()
}

#[test]
fn standard_scaler_is_that_of_scikit_learn() {
    let goldens = goldens();
    let (train, expected) = (data(&goldens["matrix"]), &goldens["standard"]);
    for (with_mean, with_std) in [(true, true), (true, false), (false, true), (false, false)] {
        let scaler = StandardScaler::new().with_mean(with_mean).with_std(with_std).fit(&train).unwrap();
        let want = &expected[format!("{with_mean}_{with_std}")];
        close(scaler.apply(&train).unwrap().features(), &matrix(&want["transformed"]).0);
        close(&scaler.transform(&matrix(&goldens["new_rows"]).0).unwrap(), &matrix(&want["new"]).0);
        assert_eq!(scaler, saved_and_loaded(&scaler));
    }
    let scaler = StandardScaler::new().fit(&train).unwrap();
    let near = |have: &[f64], want: &Value| {
        let want = numbers(want);
        assert!(have.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs()), "{have:?} {want:?}");
    };
    near(scaler.mean(), &expected["mean"]);
    near(scaler.variance(), &expected["variance"]);
    near(scaler.scale(), &expected["scale"]);
    assert_eq!(scaler.samples_seen(), [5, 5, 5, 4, 5, 5]);
    let digits = digits().unwrap();
    let scaler = StandardScaler::new().fit(&digits).unwrap();
    near(scaler.mean(), &expected["digits_mean"]);
    near(scaler.scale(), &expected["digits_scale"]);
    let first: Vec<f32> = numbers(&expected["digits_first"]).into_iter().map(|number| number as f32).collect();
    close(&scaler.transform(digits.row(0).unwrap()).unwrap(), &first);
}

#[test]
fn rounding_does_not_make_a_constant_feature_vary() {
    for constant in [0.1f32, 0.7, 1e-3, 12345.678, -3.3] {
        for samples in [3, 10, 777, 5000] {
            let data = ArrayDataset::unlabelled(vec![constant; samples], [1]).unwrap();
            let scaler = StandardScaler::new().fit(&data).unwrap();
            assert_eq!(scaler.scale(), [1.0], "{samples} times {constant}");
            assert!(scaler.transform(&[constant]).unwrap()[0].abs() < 1e-6);
        }
    }
}

#[test]
fn min_max_scaler_is_that_of_scikit_learn() {
    let goldens = goldens();
    let train = data(&goldens["matrix"]);
    for (low, high, clip, key) in
        [(0.0, 1.0, false, "0.0_1.0_false"), (-1.0, 3.0, false, "-1.0_3.0_false"), (0.0, 1.0, true, "0.0_1.0_true")]
    {
        let scaler = MinMaxScaler::new().feature_range(low, high).clip(clip).fit(&train).unwrap();
        let want = &goldens["min_max"][key];
        close(scaler.apply(&train).unwrap().features(), &matrix(&want["transformed"]).0);
        close(&scaler.transform(&matrix(&goldens["new_rows"]).0).unwrap(), &matrix(&want["new"]).0);
        assert_eq!(scaler, saved_and_loaded(&scaler));
    }
}

#[test]
fn one_hot_encoder_is_that_of_scikit_learn() {
    let goldens = &goldens()["one_hot"];
    let (train, unknown) = (data(&goldens["input"]), matrix(&goldens["unknown"]).0);
    for (drop, key) in
        [(DropCategory::None, "none"), (DropCategory::First, "first"), (DropCategory::IfBinary, "if_binary")]
    {
        let encoder = OneHotEncoder::new().drop(drop).handle_unknown(HandleUnknown::Ignore).fit(&train).unwrap();
        let encoded = encoder.apply(&train).unwrap();
        close(encoded.features(), &matrix(&goldens[key]["transformed"]).0);
        close(&encoder.transform(&unknown).unwrap(), &matrix(&goldens[key]["unknown"]).0);
        close(&encoder.inverse_transform(encoded.features()).unwrap(), train.features());
        assert_eq!(encoder, saved_and_loaded(&encoder));
    }
}

#[test]
fn one_hot_encoder_names_its_columns_and_refuses_what_it_does_not_know() {
    let named = ArrayDataset::unlabelled(vec![0.0, 9.5, -0.0, 3.5, 2.0, 7.0], [2]).unwrap();
    let named = named.with_feature_names(["colour", "price"]).unwrap();
    let encoder = OneHotEncoder::new().columns([0]).fit(&named).unwrap();
    let encoded = encoder.apply(&named).unwrap();
    assert_eq!(encoded.feature_names().unwrap(), ["colour_0", "colour_2", "price"]);
    assert_eq!(encoded.feature_shape(), [3]);
    assert_eq!((encoder.categories(0), encoder.categories(1)), (Some(vec![0.0, 2.0]), None));
    let unknown = encoder.transform(&[0.0, 1.0, 5.0, 1.0]).unwrap_err().to_string();
    assert!(unknown.contains("sample 1, feature 0: category 5 was not there"), "{unknown}");
    assert!(encoder.inverse_transform(&[0.0, 0.0, 1.0]).unwrap_err().to_string().contains("all columns are zero"));
    assert!(OneHotEncoder::new().columns([2]).fit(&named).is_err());
    let ignoring = OneHotEncoder::new().columns([0]).handle_unknown(HandleUnknown::Ignore).fit(&named).unwrap();
    assert!(ignoring.inverse_transform(&[0.0, 0.0, 1.0]).unwrap()[0].is_nan());
}

#[test]
fn simple_imputer_is_that_of_scikit_learn() {
    let goldens = &goldens()["imputer"];
    let train = data(&goldens["input"]);
    for (strategy, key) in [
        (ImputeStrategy::Mean, "mean"),
        (ImputeStrategy::Median, "median"),
        (ImputeStrategy::MostFrequent, "most_frequent"),
        (ImputeStrategy::Constant(-1.0), "constant"),
    ] {
        let imputer = SimpleImputer::new().strategy(strategy).add_indicator(true).fit(&train).unwrap();
        let filled = imputer.apply(&train).unwrap();
        close(filled.features(), &matrix(&goldens[key]).0);
        close(&imputer.inverse_transform(filled.features()).unwrap(), train.features());
        assert_eq!(imputer, saved_and_loaded(&imputer));
    }
}

#[test]
fn simple_imputer_refuses_what_it_cannot_fill() {
    let empty = ArrayDataset::unlabelled(vec![1.0, f32::NAN, 2.0, f32::NAN], [2]).unwrap();
    assert!(SimpleImputer::new().fit(&empty).unwrap_err().to_string().contains("feature 1 has no value"));
    let kept = SimpleImputer::new().keep_empty_features(true).fit(&empty).unwrap();
    assert_eq!(kept.statistics(), [1.5, 0.0]);
    assert!(kept.inverse_transform(&[1.0, 2.0]).unwrap_err().to_string().contains("add_indicator"));
    let marked = ArrayDataset::unlabelled(vec![-1.0, 4.0, 2.0], [1]).unwrap();
    let imputer = SimpleImputer::new().missing_value(-1.0).fit(&marked).unwrap();
    assert_eq!(imputer.transform(&[-1.0, 5.0]).unwrap(), [3.0, 5.0]);
    assert!(imputer.transform(&[f32::NAN]).is_err());
    assert!(SimpleImputer::new().strategy(ImputeStrategy::Constant(f32::NAN)).fit(&marked).is_err());
    let named = empty.with_feature_names(["a", "b"]).unwrap();
    let imputer = SimpleImputer::new().keep_empty_features(true).add_indicator(true).fit(&named).unwrap();
    assert_eq!(imputer.apply(&named).unwrap().feature_names().unwrap(), ["a", "b", "missing_b"]);
}

#[test]
fn wrong_widths_empty_and_infinite_data_are_refused() {
    let train = ArrayDataset::unlabelled(vec![1.0, 2.0, 3.0, 5.0], [2]).unwrap();
    let scaler = StandardScaler::new().fit(&train).unwrap();
    assert!(scaler.transform(&[1.0; 3]).unwrap_err().to_string().contains("whole rows of 2 features"));
    let wide = ArrayDataset::unlabelled(vec![1.0; 3], [3]).unwrap();
    assert!(scaler.apply(&wide).unwrap_err().to_string().contains("fitted on 2 features, applied to 3"));
    let empty = ArrayDataset::unlabelled(Vec::new(), [2]).unwrap();
    assert!(StandardScaler::new().fit(&empty).unwrap_err().to_string().contains("empty"));
    let infinite = ArrayDataset::unlabelled(vec![1.0, 2.0, 3.0, f32::INFINITY], [2]).unwrap();
    for error in [
        StandardScaler::new().fit(&infinite).unwrap_err(),
        MinMaxScaler::new().fit(&infinite).unwrap_err(),
        OneHotEncoder::new().fit(&infinite).unwrap_err(),
        SimpleImputer::new().fit(&infinite).unwrap_err(),
    ] {
        assert!(error.to_string().contains("feature 1 of sample 1 is inf"), "{error}");
    }
    assert!(MinMaxScaler::new().feature_range(1.0, 1.0).fit(&train).is_err());
    assert!(MinMaxScaler::new().feature_range(0.0, f64::NAN).fit(&train).is_err());
}

#[test]
fn damaged_saved_states_are_refused() {
    let train = ArrayDataset::unlabelled(vec![1.0, 2.0, 3.0, 5.0], [2]).unwrap();
    fn refused<T: serde::Serialize + serde::de::DeserializeOwned>(fitted: &T, from: &str, to: &str) {
        let text = serde_json::to_string(fitted).unwrap();
        assert!(text.contains(from), "{text}");
        let error = serde_json::from_str::<T>(&text.replace(from, to)).err().expect("damaged").to_string();
        assert!(error.contains("is damaged"), "{error}");
    }
    let scaler = StandardScaler::new().fit(&train).unwrap();
    refused(&scaler, "\"scale\":[1.0,1.5]", "\"scale\":[0.0,1.5]");
    refused(&scaler, "\"scale\":[1.0,1.5]", "\"scale\":[1.0]");
    let scaler = MinMaxScaler::new().fit(&train).unwrap();
    refused(&scaler, "\"data_max\":[3.0,5.0]", "\"data_max\":[0.0,5.0]");
    let encoder = OneHotEncoder::new().fit(&train).unwrap();
    refused(&encoder, "\"values\":[1.0,3.0]", "\"values\":[3.0,1.0]");
    let imputer = SimpleImputer::new().fit(&train).unwrap();
    refused(&imputer, "\"indicators\":[]", "\"indicators\":[7]");
}

#[test]
fn a_data_set_keeps_its_targets_names_shape_and_source() {
    let digits = digits().unwrap().with_feature_shape([1, 8, 8]).unwrap();
    let scaler = StandardScaler::new().fit(&digits).unwrap();
    let scaled = scaler.apply(&digits).unwrap();
    assert_eq!(scaled.feature_shape(), [1, 8, 8]);
    assert_eq!(scaled.class_indices(), digits.class_indices());
    assert_eq!(scaled.class_names(), digits.class_names());
    assert_eq!(scaled.feature_names(), digits.feature_names());
    assert_eq!(scaled.sources(), digits.sources());
}

#[test]
fn a_pipeline_is_its_steps_in_turn() {
    let named = ArrayDataset::unlabelled(vec![0.0, 1.0, 2.0, f32::NAN, 0.0, 3.0, 1.0, 8.0], [2]).unwrap();
    let named = named.with_feature_names(["colour", "price"]).unwrap();
    let imputer = SimpleImputer::new().add_indicator(true);
    let encoder = OneHotEncoder::new().columns([0]);
    let pipeline = Pipeline::new().then(imputer).then(encoder.clone()).then(MinMaxScaler::new()).fit(&named).unwrap();
    // The same by hand.
    let imputer = imputer.fit(&named).unwrap();
    let filled = imputer.apply(&named).unwrap();
    let encoder = encoder.fit(&filled).unwrap();
    let encoded = encoder.apply(&filled).unwrap();
    let scaled = MinMaxScaler::new().fit(&encoded).unwrap().apply(&encoded).unwrap();
    let result = pipeline.apply(&named).unwrap();
    assert_eq!(result.features(), scaled.features());
    assert_eq!(result.feature_names().unwrap(), ["colour_0", "colour_1", "colour_2", "price", "missing_price"]);
    close(&pipeline.inverse_transform(result.features()).unwrap(), named.features());
    assert_eq!(pipeline, saved_and_loaded(&pipeline));
    assert_eq!(pipeline.steps().len(), 3);
    let error = pipeline.transform(&[0.0, 1.0, 7.0, 1.0]).unwrap_err().to_string();
    assert!(error.contains("sample 1, feature 0: category 7"), "{error}");
    let text = serde_json::to_string(&pipeline).unwrap().replace("\"input_features\":2", "\"input_features\":3");
    assert!(serde_json::from_str::<FittedPipeline>(&text).unwrap_err().to_string().contains("damaged"));
    let nothing = Pipeline::new().fit(&named).unwrap();
    close(nothing.apply(&named).unwrap().features(), named.features());
}

#[test]
fn large_offsets_and_tiny_scales_keep_their_statistics() {
    // Whole numbers far from zero, exact in f32: the sums of their squares are not exact in any float.
    let whole: Vec<i64> = (0..50_000i64).map(|index| 1_700_000_000 / 128 * 128 + index * index % 977 * 128).collect();
    let data = ArrayDataset::unlabelled(whole.iter().map(|&value| value as f32).collect::<Vec<_>>(), [1]).unwrap();
    let scaler = StandardScaler::new().fit(&data).unwrap();
    let count = whole.len() as i128;
    let sum: i128 = whole.iter().map(|&value| i128::from(value)).sum();
    let squares: i128 = whole.iter().map(|&value| i128::from(value) * i128::from(value)).sum();
    // n²·variance, exactly.
    let variance = (count * squares - sum * sum) as f64 / (count * count) as f64;
    assert!((scaler.variance()[0] / variance - 1.0).abs() < 1e-12, "{} {variance}", scaler.variance()[0]);
    assert!((scaler.mean()[0] - sum as f64 / count as f64).abs() < 1e-6);
    // Charges in coulomb: they vary, however small they are.
    let tiny = [1.6e-19f32, 3.2e-19, 4.8e-19];
    let data = ArrayDataset::unlabelled(tiny.to_vec(), [1]).unwrap();
    close(&MinMaxScaler::new().fit(&data).unwrap().transform(&tiny).unwrap(), &[0.0, 0.5, 1.0]);
    close(&StandardScaler::new().fit(&data).unwrap().transform(&tiny).unwrap(), &[-1.5f32.sqrt(), 0.0, 1.5f32.sqrt()]);
}

#[test]
fn the_whole_range_of_f32_is_scaled_and_overflow_is_an_error() {
    let ends = [f32::MIN, 0.0, f32::MAX];
    let data = ArrayDataset::unlabelled(ends.to_vec(), [1]).unwrap();
    let min_max = MinMaxScaler::new().feature_range(-1.0, 1.0).fit(&data).unwrap();
    assert_eq!(min_max.transform(&ends).unwrap(), [-1.0, 0.0, 1.0]);
    assert_eq!(min_max.inverse_transform(&[-1.0, 0.0, 1.0]).unwrap(), ends);
    let standard = StandardScaler::new().fit(&data).unwrap();
    close(&standard.transform(&ends).unwrap(), &[-1.5f32.sqrt(), 0.0, 1.5f32.sqrt()]);
    let near = ArrayDataset::unlabelled(vec![0.0, 1e-30], [1]).unwrap();
    let (standard, min_max) = (StandardScaler::new().fit(&near).unwrap(), MinMaxScaler::new().fit(&near).unwrap());
    let wide = MinMaxScaler::new().fit(&data).unwrap();
    for error in [
        standard.transform(&[0.0, 1e20]).unwrap_err(),
        min_max.transform(&[0.0, 1e20]).unwrap_err(),
        wide.inverse_transform(&[0.0, 1e20]).unwrap_err(),
        StandardScaler::new().fit(&data).unwrap().inverse_transform(&[0.0, 1e20]).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.contains("sample 1, feature 0: 1") && error.contains("more than an f32 holds"), "{error}");
    }
    // What was infinite before stays so; what is clipped cannot overflow.
    assert_eq!(standard.transform(&[f32::INFINITY]).unwrap(), [f32::INFINITY]);
    assert!(
        standard.transform(&[f32::NAN]).unwrap()[0].is_nan() && min_max.transform(&[f32::NAN]).unwrap()[0].is_nan()
    );
    let clipping = MinMaxScaler::new().clip(true).fit(&near).unwrap();
    assert_eq!(clipping.transform(&[1e20, f32::NEG_INFINITY]).unwrap(), [1.0, 0.0]);
}

#[test]
fn parameters_that_results_cannot_follow_are_refused() {
    let data = ArrayDataset::unlabelled(vec![1.0, 2.0], [1]).unwrap();
    // The last one is empty only as f32.
    for (low, high) in [(-1e308, 1e308), (0.0, 1e39), (f64::NEG_INFINITY, 0.0), (2.0, 1.0), (1.0, 1.0 + 1e-12)] {
        let error = MinMaxScaler::new().feature_range(low, high).fit(&data).unwrap_err();
        assert!(error.to_string().contains("low < high"), "{error}");
    }
    for missing in [f32::INFINITY, f32::NEG_INFINITY] {
        let error = SimpleImputer::new().missing_value(missing).fit(&data).unwrap_err();
        assert!(error.to_string().contains("`missing_value` is"), "{error}");
    }
}

#[test]
fn rows_of_the_wrong_length_are_refused() {
    let data = ArrayDataset::unlabelled(vec![0.0, 1.0, 2.0, f32::NAN], [2]).unwrap();
    let filled = ArrayDataset::unlabelled(vec![0.0, 1.0, 2.0, 3.0], [2]).unwrap();
    let imputer = SimpleImputer::new().add_indicator(true);
    let transforms: [&dyn InverseTransform; 5] = [
        &StandardScaler::new().fit(&data).unwrap(),
        &MinMaxScaler::new().fit(&data).unwrap(),
        &OneHotEncoder::new().fit(&filled).unwrap(),
        &imputer.fit(&data).unwrap(),
        &Pipeline::new().then(imputer).then(StandardScaler::new()).fit(&data).unwrap(),
    ];
    for transform in transforms {
        let right = [transform.input_features(), transform.output_features()];
        for wrong in [[0, 0], [right[0] - 1, right[1]], [right[0] + 1, right[1]], [right[0], right[1] - 1]] {
            let error = transform.transform_row(&vec![0.0; wrong[0]], &mut vec![0.0; wrong[1]]).unwrap_err();
            assert!(error.to_string().starts_with(transform.name()), "{error}");
            let error = transform.inverse_transform_row(&vec![0.0; wrong[1]], &mut vec![0.0; wrong[0]]).unwrap_err();
            assert!(error.to_string().contains("Give slices of one row"), "{error}");
        }
    }
}

#[test]
fn a_category_is_not_read_from_nan() {
    let data = ArrayDataset::unlabelled(vec![0.0, 1.0, 2.0], [1]).unwrap();
    for drop in [DropCategory::None, DropCategory::First] {
        let encoder = OneHotEncoder::new().drop(drop).handle_unknown(HandleUnknown::Ignore).fit(&data).unwrap();
        let mut row = vec![0.0; encoder.output_features()];
        row[1] = f32::NAN;
        assert!(encoder.inverse_transform(&row).unwrap_err().to_string().contains("a column is NaN"));
    }
}

#[test]
fn hostile_numbers_in_saved_states_are_refused() {
    let refused = |text: &str| {
        let (standard, min_max) = (
            serde_json::from_str::<FittedStandardScaler>(text).is_err(),
            serde_json::from_str::<FittedMinMaxScaler>(text).is_err(),
        );
        let (encoder, imputer) = (
            serde_json::from_str::<FittedOneHotEncoder>(text).is_err(),
            serde_json::from_str::<FittedSimpleImputer>(text).is_err(),
        );
        assert!(standard && min_max && encoder && imputer, "{text}");
    };
    for (mean, variance, scale) in
        [("1e999", "1", "1"), ("0", "-1", "1"), ("0", "1", "0"), ("0", "1", "-1"), ("null", "1", "1")]
    {
        refused(&format!(
            r#"{{"mean":[{mean}],"variance":[{variance}],"scale":[{scale}],"samples":[1],"with_mean":true}}"#
        ));
    }
    for (min, max, low, high) in
        [("1", "0", "0", "1"), ("0", "1", "1", "1"), ("0", "1", "0", "1e300"), ("-1e308", "1e308", "0", "1")]
    {
        refused(&format!(r#"{{"data_min":[{min}],"data_max":[{max}],"low":{low},"high":{high},"clip":false}}"#));
    }
    for values in ["1,1", "2,1", "1e39", ""] {
        refused(&format!(
            r#"{{"features":[{{"values":[{values}],"nan":false,"drop_first":true}}],"unknown":"Error"}}"#
        ));
    }
    for (fill, missing, indicators) in
        [("1e39", "null", ""), ("0", "1e39", ""), ("0", "null", "0,0"), ("0", "null", "1")]
    {
        refused(&format!(
            r#"{{"fill":[{fill}],"missing":{missing},"indicators":[{indicators}],"add_indicator":true}}"#
        ));
    }
    // A scale that is small, but no smaller than an f64 holds, is used; what overflows is an error, not infinity.
    let text = r#"{"mean":[0.0],"variance":[1.0],"scale":[1e-300],"samples":[1],"with_mean":true}"#;
    let scaler: FittedStandardScaler = serde_json::from_str(text).unwrap();
    assert!(scaler.transform(&[1.0]).unwrap_err().to_string().contains("more than an f32 holds"));
}

fn rows() -> impl Strategy<Value = (Vec<f32>, usize)> {
    (1usize..6, 1usize..20).prop_flat_map(|(width, count)| {
        (prop::collection::vec(prop_oneof![4 => -1e3f32..1e3, 1 => Just(2.5f32)], width * count), Just(width))
    })
}

proptest! {
    #[test]
    fn scalers_invert((values, width) in rows(), low in -5.0f64..5.0, size in 0.1f64..10.0) {
        let data = ArrayDataset::unlabelled(values.clone(), [width]).unwrap();
        let standard = StandardScaler::new().fit(&data).unwrap();
        let min_max = MinMaxScaler::new().feature_range(low, low + size).fit(&data).unwrap();
        let transforms: [&dyn InverseTransform; 2] = [&standard, &min_max];
        for transform in transforms {
            let back = transform.inverse_transform(&transform.transform(&values).unwrap()).unwrap();
            for (back, value) in back.iter().zip(&values) {
                // One rounding to f32 of a number of at most 25 (f32's 2^-24), scaled back by at most 2000 / 0.1.
                prop_assert!((back - value).abs() <= 0.05, "{} {}: {back} {value}", transform.name(), width);
            }
        }
    }

    #[test]
    fn standardised_features_have_mean_zero_and_deviation_one((values, width) in rows()) {
        let data = ArrayDataset::unlabelled(values, [width]).unwrap();
        let scaled = StandardScaler::new().fit(&data).unwrap().apply(&data).unwrap();
        for feature in 0..width {
            let column: Vec<f64> = scaled.features().iter().skip(feature).step_by(width).map(|&x| x.into()).collect();
            let mean = column.iter().sum::<f64>() / column.len() as f64;
            let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / column.len() as f64;
            let constant = column.iter().all(|&x| x == column[0]);
            prop_assert!(mean.abs() < 1e-5, "mean {mean}");
            prop_assert!(if constant { variance == 0.0 } else { (variance - 1.0).abs() < 1e-4 }, "variance {variance}");
        }
    }

    #[test]
    fn ranges_are_kept((values, width) in rows()) {
        let data = ArrayDataset::unlabelled(values, [width]).unwrap();
        let scaled = MinMaxScaler::new().fit(&data).unwrap().apply(&data).unwrap();
        prop_assert!(scaled.features().iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn the_ends_of_a_range_are_met_exactly(
        values in prop::collection::vec(any::<f32>().prop_filter("finite", |value| value.is_finite()), 2..20),
        one in -1e20f64..1e20, other in prop_oneof![Just(1.0), -1e20f64..1e20, Just(0.1), Just(f64::from(f32::MAX))]
    ) {
        let (low, high) = (one.min(other), one.max(other));
        prop_assume!((low as f32) < high as f32);
        let data = ArrayDataset::unlabelled(values.clone(), [1]).unwrap();
        let scaled = MinMaxScaler::new().feature_range(low, high).fit(&data).unwrap().transform(&values).unwrap();
        let (least, greatest) = (values.iter().copied().fold(f32::MAX, f32::min), values.iter().copied().fold(f32::MIN, f32::max));
        for (&value, &scaled) in values.iter().zip(&scaled) {
            prop_assert!((low as f32..=high as f32).contains(&scaled), "{value}: {scaled}");
            prop_assert!(value != least || scaled == low as f32, "{value}: {scaled}");
            prop_assert!(value != greatest || least == greatest || scaled == high as f32, "{value}: {scaled}");
        }
    }

    #[test]
    fn one_hot_rows_have_one_hot_column_a_feature_and_invert(
        values in prop::collection::vec((0u8..4).prop_map(f32::from), 1..20)
    ) {
        let data = ArrayDataset::unlabelled(values.clone(), [1]).unwrap();
        let encoder = OneHotEncoder::new().fit(&data).unwrap();
        let encoded = encoder.transform(&values).unwrap();
        for row in encoded.chunks(encoder.output_features()) {
            prop_assert_eq!(row.iter().filter(|&&value| value == 1.0).count(), 1);
            prop_assert_eq!(row.iter().sum::<f32>(), 1.0);
        }
        prop_assert_eq!(encoder.inverse_transform(&encoded).unwrap(), values);
    }
}
