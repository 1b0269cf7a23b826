//! Splits and folds: complete, disjoint, reproducible, proportional; folds as scikit-learn makes them.

use osnova_data::*;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;

/// Samples that know their own index.
fn labelled(classes: &[i64]) -> ArrayDataset {
    let features: Vec<f32> = (0..classes.len()).map(|index| index as f32).collect();
    let count = classes.iter().max().map_or(1, |&class| class as usize + 1);
    ArrayDataset::classification(features, [1], classes, count).unwrap()
}

fn sorted(parts: &[&[usize]]) -> Vec<usize> {
    let mut all = parts.concat();
    all.sort_unstable();
    all
}

fn opened(split: TrainValidationTest<ArrayDataset>) -> [Vec<usize>; 3] {
    let (test, _) = split.test.open("a test of the split");
    [split.train.indices().to_vec(), split.validation.indices().to_vec(), test.indices().to_vec()]
}

fn count(indices: &[usize], classes: &[i64], class: i64) -> usize {
    indices.iter().filter(|&&index| classes[index] == class).count()
}

#[test]
fn ten_thousand_samples_split_into_6000_2000_2000() {
    let classes: Vec<i64> = (0..10_000).map(|index| i64::from(index % 10 < 3)).collect();
    for options in [SplitOptions::shuffled(1), SplitOptions::stratified(1), SplitOptions::in_order()] {
        let split = train_validation_test_split(labelled(&classes), [0.6, 0.2, 0.2], &options).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (6000, 2000, 2000));
    }
    let split = train_validation_test_split(labelled(&classes), [0.6, 0.2, 0.2], &SplitOptions::stratified(1)).unwrap();
    let [train, validation, test] = opened(split);
    assert_eq!([&train, &validation, &test].map(|part| count(part, &classes, 1)), [1800, 600, 600]);
}

#[test]
fn splits_in_order_and_by_time_keep_the_future_for_the_test() {
    let classes = vec![0; 10];
    let in_order = train_validation_test_split(labelled(&classes), [0.6, 0.2, 0.2], &SplitOptions::in_order()).unwrap();
    assert_eq!(opened(in_order), [vec![0, 1, 2, 3, 4, 5], vec![6, 7], vec![8, 9]]);
    let times: Vec<f64> = (0..10).map(|index| f64::from(index * 7 % 10)).collect();
    let by_time = SplitOptions::by_time(times.clone());
    let [train, validation, test] =
        opened(train_validation_test_split(labelled(&classes), [0.6, 0.2, 0.2], &by_time).unwrap());
    let latest = |part: &[usize]| part.iter().map(|&index| times[index]).fold(f64::MIN, f64::max);
    let earliest = |part: &[usize]| part.iter().map(|&index| times[index]).fold(f64::MAX, f64::min);
    assert!(latest(&train) < earliest(&validation) && latest(&validation) < earliest(&test));
    let nan = SplitOptions::by_time(vec![f64::NAN; 10]);
    assert!(train_test_split(labelled(&classes), 0.5, &nan).unwrap_err().to_string().contains("NaN"));
    let few = SplitOptions::by_time(vec![1.0; 3]);
    assert!(train_test_split(labelled(&classes), 0.5, &few).unwrap_err().to_string().contains("3 times for 10"));
}

#[test]
fn the_record_of_an_opened_test_set_says_which_samples_it_was() {
    let open = |seed| {
        let options = SplitOptions::stratified(seed);
        let split = train_validation_test_split(digits().unwrap(), [0.6, 0.2, 0.2], &options).unwrap();
        assert_eq!(format!("{:?}", split.test), "SealedTest { len: 360, .. }");
        split.test.open("final evaluation").1
    };
    let (first, second, other) = (open(1), open(1), open(2));
    assert_eq!(first.indices_sha256, second.indices_sha256);
    assert_ne!(first.indices_sha256, other.indices_sha256);
    assert_eq!((first.samples, first.seed, &first.purpose[..]), (360, Some(1), "final evaluation"));
    assert_eq!(first.sources[0].sha256, "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22");
    let text = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<TestRecord>(&text).unwrap(), first);
}

#[test]
fn what_cannot_be_split_is_refused_with_a_reason() {
    let error = |classes: &[i64], options: SplitOptions| {
        train_validation_test_split(labelled(classes), [0.6, 0.2, 0.2], &options).unwrap_err().to_string()
    };
    assert!(error(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 1], SplitOptions::stratified(0)).contains("class 1 has 2 samples"));
    assert!(error(&[0, 1, 2, 0, 1, 2, 0, 1, 2], SplitOptions::stratified(0)).contains("cannot hold all 3 classes"));
    assert!(error(&[0, 0], SplitOptions::shuffled(0)).contains("at least one sample"));
    assert!(error(&[0; 10], SplitOptions::grouped(0, vec![1; 10])).contains("1 groups cannot fill 3 parts"));
    assert!(error(&[0; 10], SplitOptions::grouped(0, vec![1; 9])).contains("9 groups for 10 samples"));
    let unlabelled = ArrayDataset::unlabelled(vec![0.0; 10], [1]).unwrap();
    let missing = train_test_split(unlabelled, 0.5, &SplitOptions::stratified(0)).unwrap_err().to_string();
    assert!(missing.contains("no targets"), "{missing}");
}

fn golden_folds(key: &str) -> Vec<(Vec<usize>, Vec<usize>)> {
    let goldens: Value = serde_json::from_str(include_str!("../goldens/folds.json")).unwrap();
    serde_json::from_value(goldens[key].clone()).unwrap()
}

#[test]
fn folds_are_those_of_scikit_learn() {
    let goldens: Value = serde_json::from_str(include_str!("../goldens/folds.json")).unwrap();
    let classes: Vec<i64> = serde_json::from_value(goldens["classes"].clone()).unwrap();
    let groups: Vec<u64> = serde_json::from_value(goldens["groups"].clone()).unwrap();
    let check = |folds: Result<Folds>, key| assert_eq!(folds.unwrap().collect::<Vec<_>>(), golden_folds(key), "{key}");
    check(KFold::new(4).split(11), "k_fold_11_4");
    check(StratifiedKFold::new(4).split(&classes), "stratified_4");
    check(GroupKFold::new(3, groups).split(), "group_3");
    check(TimeSeriesSplit::new(4).split(17), "time_series_17_4");
    let limited = TimeSeriesSplit::new(3).max_train_size(5).validation_size(2).gap(3);
    check(limited.split(17), "time_series_17_3_max_5_size_2_gap_3");
    check(LeaveOneOut.split(4), "leave_one_out_4");
}

#[test]
fn seventy_thirty_stays_seventy_thirty_in_every_fold() {
    let classes: Vec<i64> = (0..1000).map(|index| i64::from(index % 10 >= 7)).collect();
    for (train, validation) in StratifiedKFold::new(5).shuffle(3).split(&classes).unwrap() {
        assert_eq!((count(&validation, &classes, 0), count(&validation, &classes, 1)), (140, 60));
        assert_eq!((count(&train, &classes, 0), count(&train, &classes, 1)), (560, 240));
    }
}

#[test]
fn impossible_folds_are_refused() {
    assert!(KFold::new(1).split(5).unwrap_err().to_string().contains("at least 2"));
    assert!(KFold::new(6).split(5).unwrap_err().to_string().contains("there are 5 samples"));
    assert!(StratifiedKFold::new(3).split(&[0, 1, 0, 1]).is_err());
    assert!(StratifiedKFold::new(2).split(&[0, 0, 1]).is_ok());
    assert!(StratifiedKFold::new(2).split(&[]).is_err());
    assert!(GroupKFold::new(3, vec![1, 1, 2]).split().unwrap_err().to_string().contains("2 groups"));
    assert!(GroupKFold::new(2, vec![1, 2]).folds(&labelled(&[0, 0, 0])).is_err());
    assert!(TimeSeriesSplit::new(3).split(3).is_err());
    assert!(TimeSeriesSplit::new(2).gap(5).split(9).is_err());
    assert!(TimeSeriesSplit::new(2).validation_size(usize::MAX).split(9).is_err());
    assert!(TimeSeriesSplit::new(usize::MAX).split(9).is_err());
    assert!(LeaveOneOut.split(1).is_err());
    assert!(RepeatedKFold::new(2, 0, 1).split(5).is_err());
    assert!(StratifiedKFold::new(2).folds(&ArrayDataset::unlabelled(vec![0.0; 4], [1]).unwrap()).is_err());
}

#[test]
fn repetitions_differ_and_each_is_complete() {
    for repeated in [RepeatedKFold::new(5, 3, 8), RepeatedKFold::new(5, 3, 8).stratified()] {
        let classes: Vec<i64> = (0..50).map(|index| i64::from(index % 5 == 0)).collect();
        let folds: Vec<_> = repeated.folds(&labelled(&classes)).unwrap().map(|(_, validation)| validation).collect();
        assert_eq!(folds.len(), 15);
        for repetition in folds.chunks(5) {
            assert_eq!(sorted(&repetition.iter().map(Vec::as_slice).collect::<Vec<_>>()), (0..50).collect::<Vec<_>>());
        }
        assert_ne!(folds[..5], folds[5..10]);
        assert_ne!(folds[5..10], folds[10..]);
    }
}

#[test]
fn folds_are_made_when_they_are_asked_for() {
    // As many repetitions as there are streams: nobody makes them all.
    let mut folds = RepeatedKFold::new(2, 1 << 32, 7).split(10).unwrap();
    assert_eq!(folds.len(), 1 << 33);
    let first: Vec<_> = folds.by_ref().take(6).collect();
    assert_eq!(first, RepeatedKFold::new(2, 3, 7).split(10).unwrap().collect::<Vec<_>>());
    assert_eq!(folds.len(), (1 << 33) - 6);
    let stratified = RepeatedKFold::new(2, usize::MAX >> 32, 7).stratified().folds(&labelled(&[0, 1, 0, 1])).unwrap();
    assert_eq!(stratified.take(5).count(), 5);
    for repetitions in [(1 << 32) + 1, usize::MAX / 2, usize::MAX] {
        let error = RepeatedKFold::new(2, repetitions, 0).split(10).unwrap_err().to_string();
        assert!(error.contains("Ask for at most 4294967296"), "{error}");
    }
    let alone = LeaveOneOut.split(1_000_000).unwrap();
    assert_eq!(alone.len(), 1_000_000);
    assert_eq!(alone.map(|(_, validation)| validation).take(3).collect::<Vec<_>>(), [[0], [1], [2]]);
    let series = TimeSeriesSplit::new(400_000).max_train_size(2).split(1_000_000).unwrap();
    assert_eq!(series.take(1).next().unwrap(), (vec![199_998, 199_999], vec![200_000, 200_001]));
}

#[test]
fn sample_counts_that_no_memory_holds_are_errors() {
    for samples in [usize::MAX, usize::MAX / 8, 1 << 50] {
        for folds in [
            KFold::new(2).split(samples),
            KFold::new(3).shuffle(0).split(samples),
            KFold::new(samples).split(samples),
            RepeatedKFold::new(2, 2, 0).split(samples),
            TimeSeriesSplit::new(2).split(samples),
            TimeSeriesSplit::new(samples - 1).split(samples),
            LeaveOneOut.split(samples),
        ] {
            let error = folds.unwrap_err();
            assert!(matches!(error, DataError::OutOfMemory { .. }), "{error}");
        }
    }
    for count in [usize::MAX, 1 << 60] {
        assert!(KFold::new(count).split(10).is_err());
        assert!(StratifiedKFold::new(count).split(&[0; 10]).is_err());
        assert!(GroupKFold::new(count, vec![1; 10]).split().is_err());
        assert!(TimeSeriesSplit::new(2).gap(count).split(10).is_err());
        assert!(TimeSeriesSplit::new(2).max_train_size(count).split(10).is_ok());
        assert!(Subset::new(labelled(&[0]), vec![count]).is_err());
    }
}

#[test]
fn sizes_of_parts_that_make_no_sense_are_refused() {
    let data = || labelled(&[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let options = [SplitOptions::shuffled(0), SplitOptions::stratified(0), SplitOptions::in_order()];
    for options in &options {
        for fraction in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, -0.0, 0.0, 1.0, 1.5, 1.0 - 1e-16] {
            assert!(train_test_split(data(), fraction, options).is_err(), "{fraction}");
            assert!(train_validation_split(data(), fraction, options).is_err(), "{fraction}");
            let rest = (1.0 - fraction) / 2.0;
            assert!(train_validation_test_split(data(), [fraction, rest, rest], options).is_err(), "{fraction}");
        }
        for count in [0, 10, 11, usize::MAX] {
            assert!(train_test_split(data(), count, options).is_err(), "{count}");
            assert!(train_validation_split(data(), count, options).is_err(), "{count}");
        }
        let empty = ArrayDataset::classification(vec![], [1], vec![], 1).unwrap();
        assert!(train_test_split(empty.clone(), 0.5, options).is_err());
        assert!(train_validation_test_split(empty, [0.6, 0.2, 0.2], options).is_err());
    }
}

/// Says that it has more samples than classes.
#[derive(Debug)]
struct Short;

impl Dataset for Short {
    fn len(&self) -> usize {
        20
    }

    fn feature_shape(&self) -> &[usize] {
        &[1]
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::Class { count: 2 }
    }

    fn read_features(&self, _: usize, _: &mut [f32]) -> Result<()> {
        Ok(())
    }

    fn classes(&self) -> Result<Vec<i64>> {
        Ok(vec![0, 1, 0, 1, 0, 1])
    }
}

#[test]
fn a_data_set_that_miscounts_its_classes_is_refused() {
    let stratified = SplitOptions::stratified(0);
    for error in [
        train_test_split(Short, 0.5, &stratified).unwrap_err(),
        train_validation_test_split(Short, [0.6, 0.2, 0.2], &stratified).unwrap_err(),
        StratifiedKFold::new(2).folds(&Short).unwrap_err(),
        RepeatedKFold::new(2, 2, 0).stratified().folds(&Short).unwrap_err(),
        ArrayDataset::from_dataset(&Short).unwrap_err(),
    ] {
        assert!(error.to_string().contains("20 samples"), "{error}");
    }
}

#[test]
fn equal_times_keep_their_order_zero_too() {
    let times = vec![0.0, -0.0, 0.0, -0.0, f64::NEG_INFINITY, f64::INFINITY];
    let split = train_test_split(labelled(&[0; 6]), 1_usize, &SplitOptions::by_time(times)).unwrap();
    assert_eq!(split.train.indices(), [4, 0, 1, 2, 3]);
}

fn classes() -> impl Strategy<Value = Vec<i64>> {
    // At least 3 of each class, so that every part can have one.
    (2i64..5, prop::collection::vec(0i64..5, 15..80)).prop_map(|(count, noise)| {
        (0..count).flat_map(|class| [class; 3]).chain(noise.into_iter().map(|class| class % count)).collect()
    })
}

proptest! {
    #[test]
    fn splits_partition_the_samples(
        classes in classes(), seed in any::<u64>(), strategy in 0..4, validation in 0.15f64..0.4, test in 0.15f64..0.4,
        groups in prop::collection::vec(0u64..6, 100)
    ) {
        let samples = classes.len();
        let groups: Vec<u64> = groups[..samples.min(100)].iter().copied().chain(6..).take(samples).collect();
        prop_assume!(groups.iter().collect::<BTreeSet<_>>().len() >= 3);
        let options = match strategy {
            0 => SplitOptions::shuffled(seed),
            1 => SplitOptions::stratified(seed),
            2 => SplitOptions::in_order(),
            _ => SplitOptions::grouped(seed, groups.clone()),
        };
        let fractions = [1.0 - validation - test, validation, test];
        let split = || opened(train_validation_test_split(labelled(&classes), fractions, &options).unwrap());
        let parts = split();
        prop_assert_eq!(&parts, &split(), "the same seed, the same split");
        let slices: Vec<&[usize]> = parts.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(sorted(&slices), (0..samples).collect::<Vec<_>>());
        for (part, fraction) in parts.iter().zip(fractions) {
            prop_assert!(!part.is_empty());
            if strategy < 3 {
                prop_assert!((part.len() as f64 - fraction * samples as f64).abs() <= 1.0 + 1e-6);
            }
        }
        if strategy == 1 {
            for class in 0..5 {
                let all = classes.iter().filter(|&&other| other == class).count() as f64;
                for (part, (fraction, slack)) in parts.iter().zip(fractions.iter().zip([2.0, 1.0, 1.0])) {
                    // Part sizes are whole, which moves each class's share by at most its share of one sample more.
                    let share = fraction * all;
                    let have = count(part, &classes, class) as f64;
                    prop_assert!((have - share).abs() < slack + 1.0, "class {class}: {have} of {share}");
                    let exact = part.len() as f64 * all / samples as f64;
                    prop_assert!((have - exact).abs() < slack + 1e-9, "class {class}: {have} of {exact}");
                }
            }
        }
        if strategy == 3 {
            let groups_of = |part: &[usize]| part.iter().map(|&index| groups[index]).collect::<BTreeSet<_>>();
            prop_assert!(groups_of(&parts[0]).is_disjoint(&groups_of(&parts[1])));
            prop_assert!(groups_of(&parts[0]).is_disjoint(&groups_of(&parts[2])));
            prop_assert!(groups_of(&parts[1]).is_disjoint(&groups_of(&parts[2])));
        }
    }

    #[test]
    fn every_sample_validates_exactly_once(
        classes in classes(), folds in 2usize..6, shuffle in any::<Option<u64>>(), kind in 0usize..4,
        groups in prop::collection::vec(0u64..9, 100)
    ) {
        let samples = classes.len();
        let groups: Vec<u64> = groups.into_iter().take(samples).chain(0..).take(samples).collect();
        let (mut k_fold, mut stratified) = (KFold::new(folds), StratifiedKFold::new(folds));
        if let Some(seed) = shuffle {
            (k_fold, stratified) = (k_fold.shuffle(seed), stratified.shuffle(seed));
        }
        let grouped = GroupKFold::new(folds, groups.clone());
        let validators: [&dyn CrossValidator; 4] = [&k_fold, &stratified, &grouped, &LeaveOneOut];
        let folds: Vec<_> = validators[kind].folds(&labelled(&classes)).unwrap().collect();
        let validations: Vec<&[usize]> = folds.iter().map(|(_, validation)| validation.as_slice()).collect();
        prop_assert_eq!(sorted(&validations), (0..samples).collect::<Vec<_>>());
        for (train, validation) in &folds {
            prop_assert_eq!(sorted(&[train, validation]), (0..samples).collect::<Vec<_>>());
            match kind {
                0 => prop_assert!(validation.len().abs_diff(samples / folds.len()) <= 1),
                1 => for class in 0..5 {
                    let all = classes.iter().filter(|&&other| other == class).count();
                    let exact = all as f64 / folds.len() as f64;
                    prop_assert!((count(validation, &classes, class) as f64 - exact).abs() < 1.0);
                },
                2 => prop_assert!(validation.iter().all(|&v| train.iter().all(|&t| groups[t] != groups[v]))),
                _ => prop_assert_eq!(validation.len(), 1),
            }
        }
    }

    #[test]
    fn time_never_runs_backwards(samples in 2usize..60, folds in 2usize..8, gap in 0usize..5) {
        if let Ok(folds) = TimeSeriesSplit::new(folds).gap(gap).split(samples) {
            for (train, validation) in folds {
                prop_assert!(train[train.len() - 1] + gap < validation[0]);
                prop_assert!(!train.is_empty() && !validation.is_empty());
            }
        }
    }
}
