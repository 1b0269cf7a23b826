//! The workloads that Osnova is raced on.
#![allow(missing_docs, reason = "criterion's macros define undocumented functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use osnova::prelude::*;
use osnova_benches::workloads::ALL;

fn workloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("workloads");
    group.sample_size(20);
    for workload in ALL {
        let mut step = (workload.prepare)(Device::cpu()).expect("the workload is sound");
        group.bench_function(workload.name, |bencher| bencher.iter(|| step().expect("the step runs")));
    }
}

criterion_group!(benches, workloads);
criterion_main!(benches);
