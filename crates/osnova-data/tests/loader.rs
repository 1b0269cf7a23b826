//! The loader: every index once, the same order for any number of workers, resumable anywhere, and it survives bad data
//! sets.

use osnova_data::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

/// Samples that know their own index.
fn numbered(samples: usize) -> ArrayDataset {
    let features: Vec<f32> = (0..samples).flat_map(|index| [index as f32, -(index as f32)]).collect();
    let classes: Vec<i64> = (0..samples as i64).map(|index| index % 3).collect();
    ArrayDataset::classification(features, [2], classes, 3).unwrap()
}

fn epoch(loader: &mut DataLoader) -> Vec<Batch> {
    loader.batches().collect::<Result<_>>().unwrap()
}

fn indices(batches: &[Batch]) -> Vec<usize> {
    batches.iter().flat_map(|batch| batch.indices.clone()).collect()
}

#[test]
fn batches_hold_the_samples_they_name() {
    let mut loader = DataLoader::new(numbered(10), 4).unwrap().shuffle(1);
    assert_eq!((loader.batch_count(), loader.batch_size()), (3, 4));
    let batches = epoch(&mut loader);
    assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 2]);
    for batch in &batches {
        let features: Vec<f32> = batch.indices.iter().flat_map(|&index| [index as f32, -(index as f32)]).collect();
        let classes = batch.indices.iter().map(|&index| index as i64 % 3).collect();
        assert_eq!((&batch.features, &batch.targets), (&features, &BatchTargets::Classes(classes)));
        assert_eq!(batch.feature_shape, [2]);
    }
    let values = ArrayDataset::regression(vec![1.0, 2.0, 3.0], [1], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2).unwrap();
    let batches = epoch(&mut DataLoader::new(values, 2).unwrap());
    assert_eq!(batches[1].targets, BatchTargets::Values { values: vec![5.0, 6.0], width: 2 });
    let none = ArrayDataset::unlabelled(vec![1.0, 2.0, 3.0], [1]).unwrap();
    assert_eq!(epoch(&mut DataLoader::new(none, 3).unwrap())[0].targets, BatchTargets::None);
}

#[test]
fn epochs_differ_and_come_again() {
    let mut loader = DataLoader::new(numbered(100), 7).unwrap().shuffle(5);
    let (first, second) = (indices(&epoch(&mut loader)), indices(&epoch(&mut loader)));
    assert_ne!(first, second);
    assert_eq!(loader.state().epoch, 2);
    loader.start_epoch(1);
    assert_eq!(indices(&epoch(&mut loader)), second);
    let mut other = DataLoader::new(numbered(100), 7).unwrap().shuffle(6);
    assert_ne!(indices(&epoch(&mut other)), first);
    let mut in_order = DataLoader::new(numbered(100), 7).unwrap();
    assert_eq!(indices(&epoch(&mut in_order)), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_batch_of_more_than_everything_and_of_nothing() {
    assert_eq!(epoch(&mut DataLoader::new(numbered(3), usize::MAX).unwrap())[0].len(), 3);
    assert!(epoch(&mut DataLoader::new(numbered(3), 4).unwrap().drop_last(true)).is_empty());
    let mut empty = DataLoader::new(numbered(0), 4).unwrap().workers(2).shuffle(1);
    assert!(epoch(&mut empty).is_empty());
    assert_eq!(empty.state().epoch, 1);
    assert!(DataLoader::new(numbered(3), 0).unwrap_err().to_string().contains("batch size is 0"));
}

#[test]
fn ten_thousand_samples_in_batches_of_a_hundred_make_a_hundred_iterations() {
    let mut loader = DataLoader::new(numbered(10_000), 100).unwrap().shuffle(0);
    assert_eq!((loader.batch_count(), epoch(&mut loader).len()), (100, 100));
}

#[test]
fn a_state_of_other_options_is_refused_and_changes_nothing() {
    let loader = || DataLoader::new(numbered(10), 4).unwrap().shuffle(1);
    let state = loader().state();
    let refused = |mut loader: DataLoader, state: LoaderState, says: &str| {
        let before = loader.state();
        let message = loader.restore(state).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
        assert_eq!(loader.state(), before);
    };
    let moved = LoaderState { next_batch: 1, epoch: 3, ..state };
    refused(DataLoader::new(numbered(11), 4).unwrap().shuffle(1), moved, "10 samples instead of 11");
    refused(DataLoader::new(numbered(10), 5).unwrap().shuffle(1), moved, "batches of 4 instead of batches of 5");
    refused(DataLoader::new(numbered(10), 4).unwrap(), moved, "shuffle(1) instead of no shuffle");
    refused(loader().shuffle(2), moved, "shuffle(1) instead of shuffle(2)");
    refused(loader().drop_last(true), moved, "drop_last(false) instead of drop_last(true)");
    refused(loader(), LoaderState { next_batch: 4, ..state }, "batch 4, but an epoch has 3");
    refused(loader(), LoaderState { epoch: u64::MAX, ..state }, "damaged");
    // Threads and prefetching change no batch.
    loader().workers(2).prefetch(7).restore(moved).unwrap();
}

#[test]
fn other_data_of_the_same_size_are_told_by_their_fingerprint() {
    let loader = DataLoader::new(numbered(10), 4).unwrap();
    let saved = loader.fingerprint().unwrap();
    DataLoader::new(numbered(10), 5).unwrap().check_fingerprint(saved).unwrap();
    let reversed = Subset::new(numbered(10), (0..10).rev().collect::<Vec<_>>()).unwrap();
    let message = DataLoader::new(reversed, 4).unwrap().check_fingerprint(saved).unwrap_err().to_string();
    assert!(message.contains("not those that the run began with"), "{message}");
    let panics = Difficult::new(4, usize::MAX, 2);
    assert!(matches!(DataLoader::new(panics, 2).unwrap().fingerprint(), Err(DataError::Worker { .. })));
}

/// Takes longer for some samples than for others, fails at one and panics at another.
#[derive(Debug)]
struct Difficult {
    samples: usize,
    fails_at: usize,
    panics_at: usize,
    read: Arc<AtomicUsize>,
}

impl Difficult {
    fn new(samples: usize, fails_at: usize, panics_at: usize) -> Self {
        Self { samples, fails_at, panics_at, read: Arc::default() }
    }
}

impl Dataset for Difficult {
    fn len(&self) -> usize {
        self.samples
    }

    fn feature_shape(&self) -> &[usize] {
        &[1]
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::None
    }

    fn read_features(&self, index: usize, output: &mut [f32]) -> Result<()> {
        self.read.fetch_add(1, Ordering::Relaxed);
        // Early batches are slow, so that later ones are ready before them.
        std::thread::sleep(Duration::from_micros(if index < self.samples / 2 { 300 } else { 0 }));
        assert!(index != self.panics_at, "sample {index} is cursed");
        if index == self.fails_at {
            return Err(DataError::argument("Difficult", format!("sample {index} is unreadable"), "Try another"));
        }
        output[0] = index as f32;
        Ok(())
    }
}

#[test]
fn delivery_is_in_order_although_workers_finish_out_of_order() {
    let mut loader = DataLoader::new(Difficult::new(200, 999, 999), 5).unwrap().workers(4).prefetch(3);
    assert_eq!(indices(&epoch(&mut loader)), (0..200).collect::<Vec<_>>());
}

#[test]
fn an_unreadable_sample_ends_the_epoch_with_its_error_and_skips_nothing() {
    for workers in [0, 1, 3] {
        let mut loader = DataLoader::new(Difficult::new(20, 11, 999), 4).unwrap().workers(workers);
        let results: Vec<Result<Batch>> = loader.batches().collect();
        assert_eq!(results.len(), 3, "two batches and the error");
        assert!(results[2].as_ref().unwrap_err().to_string().contains("sample 11 is unreadable"));
        assert_eq!((loader.state().epoch, loader.state().next_batch), (0, 2));
    }
}

#[test]
fn a_panic_is_an_error_not_a_hang_with_and_without_workers() {
    for workers in [0, 1, 3] {
        let mut loader = DataLoader::new(Difficult::new(20, 999, 11), 4).unwrap().workers(workers);
        match loader.batches().last().unwrap().unwrap_err() {
            DataError::Worker { batch: 2, message } => assert_eq!(message, "sample 11 is cursed"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn workers_stay_within_their_lead_and_stop_when_dropped() {
    let data = Difficult::new(1000, 9999, 9999);
    let read = data.read.clone();
    let mut loader = DataLoader::new(data, 1).unwrap().workers(2).prefetch(3);
    let mut batches = loader.batches();
    batches.next().unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(30));
    drop(batches);
    let count = read.load(Ordering::Relaxed);
    assert!(count <= 1 + 6, "{count} samples were read for one that was used");
    assert_eq!(loader.state().next_batch, 1);
    assert_eq!(Arc::strong_count(loader.dataset()), 1, "no worker is left");
}

#[test]
fn any_lead_and_any_number_of_workers_deliver_the_epoch() {
    let alone = epoch(&mut DataLoader::new(numbered(60), 4).unwrap().shuffle(3));
    for workers in [1, 2, 3, usize::MAX] {
        for prefetch in [0, 1, usize::MAX / 2, usize::MAX] {
            let mut loader = DataLoader::new(numbered(60), 4).unwrap().shuffle(3).workers(workers).prefetch(prefetch);
            assert_eq!(epoch(&mut loader), alone, "{workers} workers, {prefetch} batches ahead");
            // In the middle of an epoch the counters do not start at zero.
            loader.batches().next().unwrap().unwrap();
            assert_eq!(loader.batches().count(), 14);
        }
    }
}

/// Notes which threads read it.
#[derive(Debug, Default)]
struct Watched(Arc<Mutex<HashSet<ThreadId>>>);

impl Dataset for Watched {
    fn len(&self) -> usize {
        5000
    }

    fn feature_shape(&self) -> &[usize] {
        &[1]
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::None
    }

    fn read_features(&self, _: usize, _: &mut [f32]) -> Result<()> {
        self.0.lock().unwrap().insert(std::thread::current().id());
        // Long enough that every thread gets a batch.
        std::thread::sleep(Duration::from_micros(500));
        Ok(())
    }
}

#[test]
fn no_more_threads_than_documented_are_started() {
    let data = Watched::default();
    let threads = data.0.clone();
    let mut loader = DataLoader::new(data, 1).unwrap().workers(usize::MAX).prefetch(2);
    assert_eq!(epoch(&mut loader).len(), 5000);
    let threads = threads.lock().unwrap().len();
    assert!((1..=256).contains(&threads), "{threads} threads");
}

/// Claims to be of any size.
#[derive(Clone, Copy, Debug)]
struct Boundless {
    samples: usize,
    shape: &'static [usize],
    target: TargetKind,
}

impl Dataset for Boundless {
    fn len(&self) -> usize {
        self.samples
    }

    fn feature_shape(&self) -> &[usize] {
        self.shape
    }

    fn target_kind(&self) -> TargetKind {
        self.target
    }

    fn read_features(&self, _: usize, output: &mut [f32]) -> Result<()> {
        output.fill(1.0);
        Ok(())
    }

    fn read_class(&self, _: usize) -> Result<i64> {
        Ok(0)
    }

    fn read_values(&self, _: usize, output: &mut [f32]) -> Result<()> {
        output.fill(1.0);
        Ok(())
    }
}

#[test]
fn sizes_that_no_memory_holds_are_errors_everywhere() {
    let (max, class) = (usize::MAX, TargetKind::Class { count: 1 });
    let wide = |shape| Boundless { samples: 10, shape, target: class };
    let long = |target| Boundless { samples: max, shape: &[1], target };
    let refused =
        |error: DataError, what: &str| assert!(matches!(error, DataError::OutOfMemory { .. }), "{what}: {error}");
    for data in [wide(&[usize::MAX, 3]), wide(&[usize::MAX]), wide(&[1 << 40, 1 << 20]), wide(&[1 << 50])] {
        for workers in [0, 2] {
            let mut loader = DataLoader::new(data, 4).unwrap().workers(workers);
            let results: Vec<_> = loader.batches().collect();
            assert_eq!((results.len(), loader.state().next_batch), (1, 0));
            refused(results.into_iter().next().unwrap().unwrap_err(), "loader");
        }
        refused(ArrayDataset::from_dataset(&data).unwrap_err(), "from_dataset");
        refused(StandardScaler::new().fit(&data).unwrap_err(), "StandardScaler");
        refused(MinMaxScaler::new().fit(&data).unwrap_err(), "MinMaxScaler");
        refused(OneHotEncoder::new().fit(&data).unwrap_err(), "OneHotEncoder");
        refused(SimpleImputer::new().fit(&data).unwrap_err(), "SimpleImputer");
        refused(Pipeline::new().then(SimpleImputer::new()).fit(&data).unwrap_err(), "Pipeline");
    }
    let values = Boundless { samples: 10, shape: &[1], target: TargetKind::Values { width: max } };
    refused(DataLoader::new(values, 4).unwrap().batches().next().unwrap().unwrap_err(), "wide targets");
    refused(ArrayDataset::from_dataset(&values).unwrap_err(), "wide targets");
    for mut loader in [
        DataLoader::new(long(class), 4).unwrap().shuffle(0),
        DataLoader::new(long(class), max).unwrap(),
        DataLoader::new(long(class), max / 2 + 1).unwrap().workers(1),
    ] {
        refused(loader.batches().next().unwrap().unwrap_err(), "long");
        assert_eq!(loader.state().next_batch, 0);
    }
    refused(long(class).classes().unwrap_err(), "classes");
    refused(ArrayDataset::from_dataset(&long(class)).unwrap_err(), "from_dataset");
    for options in [SplitOptions::shuffled(0), SplitOptions::in_order(), SplitOptions::stratified(0)] {
        refused(train_test_split(long(class), 0.5, &options).unwrap_err(), "train_test_split");
        refused(train_test_split(long(class), 5_usize, &options).unwrap_err(), "train_test_split");
        let three = train_validation_test_split(long(class), [0.6, 0.2, 0.2], &options);
        refused(three.unwrap_err(), "train_validation_test_split");
    }
    // Without a shuffle nothing of the data set's length is held.
    assert_eq!(DataLoader::new(long(class), 4).unwrap().batches().take(3).filter(Result::is_ok).count(), 3);
    let mut end = DataLoader::new(long(class), 4).unwrap();
    end.restore(LoaderState { next_batch: end.batch_count() - 1, ..end.state() }).unwrap();
    assert_eq!(epoch(&mut end)[0].indices, [max - 3, max - 2, max - 1]);
}

#[test]
fn epochs_are_counted_to_their_end() {
    let mut loader = DataLoader::new(numbered(8), 4).unwrap().shuffle(1);
    let last = LoaderState { epoch: u64::MAX, ..loader.state() };
    assert!(loader.restore(last).unwrap_err().to_string().contains("after which none can be counted"));
    assert_eq!(loader.state().epoch, 0, "a refused state changes nothing");
    loader.restore(LoaderState { epoch: u64::MAX - 1, next_batch: 2, ..last }).unwrap();
    assert_eq!((epoch(&mut loader).len(), loader.state().epoch), (0, u64::MAX));
    loader.start_epoch(u64::MAX);
    assert_eq!((epoch(&mut loader).len(), loader.state().epoch), (2, u64::MAX));
    // A batch number of which the product with the batch size does not fit in a word.
    let beyond = LoaderState { next_batch: usize::MAX, ..DataLoader::new(numbered(8), 4).unwrap().state() };
    assert!(DataLoader::new(numbered(8), 4).unwrap().restore(beyond).is_err());
}

/// Panics with something that panics again when it is dropped.
#[derive(Debug)]
struct Spiteful;

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("and once more");
    }
}

impl Dataset for Spiteful {
    fn len(&self) -> usize {
        8
    }

    fn feature_shape(&self) -> &[usize] {
        &[1]
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::None
    }

    fn read_features(&self, _: usize, _: &mut [f32]) -> Result<()> {
        std::panic::panic_any(Bomb)
    }
}

#[test]
fn a_panic_that_panics_again_is_an_error_too() {
    for workers in [0, 1, 3] {
        let mut loader = DataLoader::new(Spiteful, 4).unwrap().workers(workers);
        let error = loader.batches().next().unwrap().unwrap_err();
        assert!(matches!(error, DataError::Worker { batch: 0, .. }), "{error}");
    }
}

/// Changes its length, or cannot even say it.
#[derive(Debug)]
struct Fickle(Arc<AtomicUsize>);

impl Dataset for Fickle {
    fn len(&self) -> usize {
        match self.0.load(Ordering::Relaxed) {
            usize::MAX => panic!("the database is gone"),
            length => length,
        }
    }

    fn feature_shape(&self) -> &[usize] {
        &[1]
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::None
    }

    fn read_features(&self, _: usize, _: &mut [f32]) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_data_set_that_shrinks_or_fails_to_tell_its_length_is_survived() {
    let length = Arc::new(AtomicUsize::new(40));
    let mut loader = DataLoader::new(Fickle(length.clone()), 4).unwrap().shuffle(0);
    assert_eq!(loader.batches().take(5).count(), 5);
    length.store(8, Ordering::Relaxed);
    assert_eq!(loader.batches().count(), 0);
    assert_eq!(loader.state().epoch, 1);
    length.store(usize::MAX, Ordering::Relaxed);
    let results: Vec<_> = loader.batches().collect();
    assert_eq!(results.len(), 1);
    assert!(results[0].as_ref().unwrap_err().to_string().contains("the database is gone"));
}

#[test]
fn a_shared_data_set_feeds_several_loaders() {
    let data: Arc<dyn Dataset> = Arc::new(digits().unwrap());
    let mut first = DataLoader::shared(data.clone(), 100).unwrap();
    let mut second = DataLoader::shared(data, 1797).unwrap();
    assert_eq!(epoch(&mut first).len(), 18);
    assert_eq!(epoch(&mut second)[0].features.len(), 1797 * 64);
}

proptest! {
    #[test]
    fn every_index_comes_once_an_epoch(
        samples in 0usize..200, batch_size in 1usize..50, seed in any::<Option<u64>>(), drop_last in any::<bool>(),
        workers in 0usize..4
    ) {
        let mut loader = DataLoader::new(numbered(samples), batch_size).unwrap().drop_last(drop_last).workers(workers);
        if let Some(seed) = seed {
            loader = loader.shuffle(seed);
        }
        for _ in 0..2 {
            let batches = epoch(&mut loader);
            let seen = indices(&batches);
            let distinct: BTreeSet<usize> = seen.iter().copied().collect();
            prop_assert_eq!(distinct.len(), seen.len());
            prop_assert_eq!(seen.len(), if drop_last { samples / batch_size * batch_size } else { samples });
            prop_assert_eq!(batches.len(), loader.batch_count());
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_batches_for_any_number_of_workers(
        samples in 0usize..150, batch_size in 1usize..20, seed in any::<u64>(), prefetch in 0usize..5
    ) {
        let epochs = |workers| {
            let mut loader = DataLoader::new(numbered(samples), batch_size).unwrap();
            loader = loader.shuffle(seed).workers(workers).prefetch(prefetch);
            (epoch(&mut loader), epoch(&mut loader))
        };
        let alone = epochs(0);
        for workers in [1, 2, 5] {
            prop_assert_eq!(&epochs(workers), &alone);
        }
    }

    #[test]
    fn a_resumed_epoch_goes_on_where_it_stopped(
        samples in 1usize..150, batch_size in 1usize..20, seed in any::<u64>(), stop in 0usize..40, workers in 0usize..3
    ) {
        let new = || DataLoader::new(numbered(samples), batch_size).unwrap().shuffle(seed).workers(workers);
        let mut whole = new();
        let all: Vec<Batch> = [epoch(&mut whole), epoch(&mut whole), epoch(&mut whole)].concat();
        let stop = stop % (2 * whole.batch_count());
        let mut interrupted = new();
        let mut saved = interrupted.state();
        let mut used = 0;
        while used < stop {
            for batch in interrupted.batches().take(stop - used) {
                saved = batch.unwrap().resume;
                used += 1;
            }
        }
        prop_assert_eq!(saved, interrupted.state());
        let saved = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
        let mut resumed = new().workers(2 - workers);
        resumed.restore(saved).unwrap();
        let mut rest = Vec::new();
        while rest.len() < all.len() - stop {
            rest.extend(epoch(&mut resumed));
        }
        prop_assert_eq!(&rest[..], &all[stop..]);
    }
}
