//! One bench a kernel family, beside a plain copy of as many bytes: the ratio says how far a kernel is from memory's speed.
#![allow(missing_docs, reason = "criterion's macros define undocumented functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use osnova::prelude::*;
use osnova::tensor::Unary;

const COUNT: usize = 1 << 20;

fn elementwise(criterion: &mut Criterion) {
    let device = Device::cpu();
    let x = Tensor::uniform(COUNT, 0.1, 0.9, DType::F32, &Generator::new(0), device).expect("a tensor");
    let mut group = criterion.benchmark_group("elementwise");
    group.throughput(Throughput::Elements(COUNT as u64));
    let source = vec![1.0f32; COUNT];
    let mut target = vec![0.0f32; COUNT];
    group.bench_function("copy", |bencher| bencher.iter(|| std::hint::black_box(&mut target).copy_from_slice(&source)));
    group.bench_function("add", |bencher| bencher.iter(|| (&x + &x).expect("it runs")));
    for unary in Unary::ALL.into_iter().filter(|unary| unary.accepts(DType::F32)) {
        group.bench_function(unary.name(), |bencher| bencher.iter(|| x.unary(unary).expect("it runs")));
    }
    let transposed = x.reshape([1024usize, COUNT / 1024]).and_then(|x| x.t()).expect("a view");
    group.bench_function("contiguous of a transposed matrix", |bencher| {
        bencher.iter(|| transposed.contiguous().expect("it runs"));
    });
}

fn reductions(criterion: &mut Criterion) {
    let device = Device::cpu();
    let x = Tensor::uniform([1024, COUNT / 1024], 0.0, 1.0, DType::F32, &Generator::new(0), device).expect("a tensor");
    let mut group = criterion.benchmark_group("reductions");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("sum of rows", |bencher| bencher.iter(|| x.sum(1, false).expect("it runs")));
    group.bench_function("sum of columns", |bencher| bencher.iter(|| x.sum(0, false).expect("it runs")));
    group.bench_function("sum of all", |bencher| bencher.iter(|| x.sum(.., false).expect("it runs")));
    group.bench_function("max of rows", |bencher| bencher.iter(|| x.max(1, false).expect("it runs")));
    group.bench_function("softmax", |bencher| bencher.iter(|| x.softmax(1).expect("it runs")));
}

criterion_group!(benches, elementwise, reductions);
criterion_main!(benches);
