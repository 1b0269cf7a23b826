//! Matrix products against plain loops in double precision, and the same bits on any number of threads.

use half::{bf16, f16};
use osnova_cpu::dispatch::{available_levels, force_level};
use osnova_cpu::gemm::{Finish, Operand, Product, matmul, matmul_half, matmul_with};
use osnova_cpu::pool::Pool;

/// Runs a test at every level of the processor. The level is the whole process's, so the tests take turns.
fn at_every_level(test: impl Fn()) {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for level in available_levels() {
        println!("{level:?}");
        force_level(level);
        test();
    }
}

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    };
    (0..count).map(next).collect()
}

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
enum Lies {
    RowMajor,
    Transposed,
    EverySecond,
    RowsBackwards,
    Broadcast,
}

const LAYOUTS: [Lies; 5] = [Lies::RowMajor, Lies::Transposed, Lies::EverySecond, Lies::RowsBackwards, Lies::Broadcast];

/// Strides, the start, and the elements needed.
fn strides(lies: Lies, rows: usize, columns: usize) -> (isize, isize, usize, usize) {
    let (r, c) = (rows as isize, columns as isize);
    match lies {
        Lies::RowMajor => (c, 1, 0, rows * columns),
        Lies::Transposed => (1, r, 0, rows * columns),
        Lies::EverySecond => (2 * c + 1, 2, 3, 3 + rows * (2 * columns + 1)),
        Lies::RowsBackwards => (-c, 1, (rows - 1) * columns, rows * columns),
        Lies::Broadcast => (0, 1, 0, columns),
    }
}

fn element(values: &[f64], start: usize, strides: (isize, isize), row: usize, column: usize) -> f64 {
    values[(start as isize + row as isize * strides.0 + column as isize * strides.1) as usize]
}

const SHAPES: [(usize, usize, usize); 17] = [
    (1, 1, 1),
    (2, 3, 4),
    (1, 784, 256),
    (1, 37, 131),
    (131, 37, 1),
    (3, 200, 1),
    (7, 13, 5),
    (33, 65, 17),
    (128, 96, 70),
    (65, 64, 129),
    (300, 40, 257),
    (5, 900, 100),
    (530, 30, 40),
    (40, 30, 530),
    // Rows a page apart, whose left matrix is packed, in `f32`, in both types, and with a tile left over.
    (37, 1024, 300),
    (130, 512, 257),
    (5, 2048, 256),
];

#[test]
fn products_match_plain_loops_for_every_layout() {
    at_every_level(products_match_plain_loops_for_every_layout_here);
}

fn products_match_plain_loops_for_every_layout_here() {
    for (rows, inner, columns) in SHAPES {
        for left_lies in LAYOUTS {
            for right_lies in LAYOUTS {
                let (lr, lc, left_start, left_count) = strides(left_lies, rows, inner);
                let (rr, rc, right_start, right_count) = strides(right_lies, inner, columns);
                let (left, right) = (numbers(left_count, 1), numbers(right_count, 2));
                let bias = numbers(columns, 3);
                let product = Product { rows, inner, columns };
                let mut got = vec![0.0f64; rows * columns];
                let batch = [(left_start, right_start)];
                let operands = |elements, row_stride, column_stride| Operand { elements, row_stride, column_stride };
                let double = |run: &mut [f64]| run.iter_mut().for_each(|value| *value *= 2.0);
                let finish = Finish { bias: Some(&bias), activation: Some(&double) };
                matmul(product, operands(&left, lr, lc), operands(&right, rr, rc), &batch, finish, &mut got).unwrap();

                let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
                let (left32, right32, bias32) = (single(&left), single(&right), single(&bias));
                let operands = |elements, row_stride, column_stride| Operand { elements, row_stride, column_stride };
                let double = |run: &mut [f32]| run.iter_mut().for_each(|value| *value *= 2.0);
                let finish = Finish { bias: Some(&bias32), activation: Some(&double) };
                let mut got32 = vec![0.0f32; rows * columns];
                matmul(product, operands(&left32, lr, lc), operands(&right32, rr, rc), &batch, finish, &mut got32)
                    .unwrap();

                for (index, (&got, &got32)) in got.iter().zip(&got32).enumerate() {
                    let (row, column) = (index / columns, index % columns);
                    let terms = (0..inner).map(|step| {
                        element(&left, left_start, (lr, lc), row, step)
                            * element(&right, right_start, (rr, rc), step, column)
                    });
                    let want = 2.0 * (terms.sum::<f64>() + bias[column]);
                    let at = || format!("{rows}×{inner}×{columns} {left_lies:?} {right_lies:?} at {row}, {column}");
                    assert!((got - want).abs() < 1e-12 * (inner as f64 + 10.0), "{}: {got}, not {want}", at());
                    let close = (f64::from(got32) - want).abs() < 3e-7 * (inner as f64 + 10.0).sqrt() * 8.0;
                    assert!(close, "{}: {got32}, not {want}", at());
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    at_every_level(the_number_of_threads_changes_no_bit_here);
}

fn the_number_of_threads_changes_no_bit_here() {
    let shapes = [(1, 784, 1000), (1000, 784, 1), (128, 784, 256), (256, 128, 784), (300, 301, 302), (1030, 64, 1030)];
    for (rows, inner, columns) in shapes {
        for (left_lies, right_lies) in
            [(Lies::RowMajor, Lies::RowMajor), (Lies::RowMajor, Lies::Transposed), (Lies::Transposed, Lies::RowMajor)]
        {
            let (lr, lc, _, left_count) = strides(left_lies, rows, inner);
            let (rr, rc, _, right_count) = strides(right_lies, inner, columns);
            let left: Vec<f32> = numbers(left_count, 4).iter().map(|&value| value as f32).collect();
            let right: Vec<f32> = numbers(right_count, 5).iter().map(|&value| value as f32).collect();
            let run = |threads| {
                let mut output = vec![0.0f32; rows * columns];
                Pool::with_threads(threads).unwrap().run(|| {
                    let left = Operand { elements: &left[..], row_stride: lr, column_stride: lc };
                    let right = Operand { elements: &right[..], row_stride: rr, column_stride: rc };
                    matmul(Product { rows, inner, columns }, left, right, &[(0, 0)], Finish::NOTHING, &mut output)
                        .unwrap();
                });
                output.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
            };
            let one = run(1);
            assert!(run(2) == one && run(8) == one, "{rows}×{inner}×{columns} {left_lies:?} {right_lies:?}");
        }
    }
}

#[test]
fn batches_may_share_a_matrix() {
    at_every_level(batches_may_share_a_matrix_here);
}

fn batches_may_share_a_matrix_here() {
    let (left, right) = (numbers(3 * 4 * 5, 6), numbers(5 * 6, 7));
    let operand = |elements, stride| Operand { elements, row_stride: stride, column_stride: 1 };
    let product = Product { rows: 4, inner: 5, columns: 6 };
    let mut batched = vec![0.0; 3 * 24];
    let starts = [(0, 0), (20, 0), (40, 0)];
    matmul(product, operand(&left[..], 5), operand(&right[..], 6), &starts, Finish::NOTHING, &mut batched).unwrap();
    let mut flat = vec![0.0; 3 * 24];
    let product = Product { rows: 12, ..product };
    matmul(product, operand(&left[..], 5), operand(&right[..], 6), &[(0, 0)], Finish::NOTHING, &mut flat).unwrap();
    batched.iter().zip(&flat).for_each(|(a, b)| assert!((a - b).abs() < 1e-14));
}

#[test]
fn nothing_summed_leaves_the_bias() {
    at_every_level(nothing_summed_leaves_the_bias_here);
}

fn nothing_summed_leaves_the_bias_here() {
    let mut output = [7.0f32; 6];
    let empty = Operand { elements: &[][..], row_stride: 0, column_stride: 1 };
    let finish = Finish { bias: Some(&[1.0, 2.0, 3.0]), activation: None };
    matmul(Product { rows: 2, inner: 0, columns: 3 }, empty, empty, &[(0, 0)], finish, &mut output).unwrap();
    assert_eq!(output, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    matmul(Product { rows: 0, inner: 4, columns: 3 }, empty, empty, &[(0, 0)], finish, &mut []).unwrap();
}

#[test]
#[should_panic(expected = "leaves the 5 elements")]
fn an_operand_too_short_is_refused() {
    let short = Operand { elements: &[1.0f32; 5][..], row_stride: 3, column_stride: 1 };
    let _ = matmul(Product { rows: 2, inner: 3, columns: 1 }, short, short, &[(0, 0)], Finish::NOTHING, &mut [0.0; 2]);
}

#[test]
fn half_types_are_rounded_once() {
    at_every_level(half_types_are_rounded_once_here);
}

fn half_types_are_rounded_once_here() {
    let product = Product { rows: 9, inner: 300, columns: 20 };
    let (left, right) = (numbers(9 * 300, 8), numbers(300 * 20, 9));
    let sum = |left: &dyn Fn(usize) -> f32, right: &dyn Fn(usize) -> f32, index: usize| -> f64 {
        let (row, column) = (index / 20, index % 20);
        (0..300).map(|step| f64::from(left(row * 300 + step)) * f64::from(right(step * 20 + column))).sum()
    };
    macro_rules! check {
        ($type:ident, $epsilon:expr) => {
            let (left, right): (Vec<_>, Vec<_>) = (
                left.iter().map(|&x| $type::from_f64(x)).collect(),
                right.iter().map(|&x| $type::from_f64(x)).collect(),
            );
            let mut output = vec![$type::ZERO; 180];
            let operand = |elements, row_stride| Operand { elements, row_stride, column_stride: 1 };
            matmul_half(product, operand(&left, 300), operand(&right, 20), &[(0, 0)], Finish::NOTHING, &mut output)
                .unwrap();
            for (index, got) in output.iter().enumerate() {
                let want = sum(&|at| left[at].to_f32(), &|at| right[at].to_f32(), index);
                assert!((got.to_f64() - want).abs() <= $epsilon * want.abs() + 1e-4, "{got}, not {want}");
            }
        };
    }
    check!(f16, 2f64.powi(-11));
    check!(bf16, 2f64.powi(-8));
}

#[test]
fn integers_wrap_and_follow_strides() {
    let left = [1i32, 2, 3, 4, 5, 6];
    let right = [7i32, 8, 9, 10, 11, i32::MAX];
    let left = Operand { elements: &left[..], row_stride: 3, column_stride: 1 };
    let right = Operand { elements: &right[..], row_stride: 1, column_stride: 3 };
    let mut output = [0; 4];
    let multiply_add = |sum: i32, a: i32, b: i32| sum.wrapping_add(a.wrapping_mul(b));
    matmul_with(Product { rows: 2, inner: 3, columns: 2 }, left, right, &[(0, 0)], 0, multiply_add, &mut output);
    let last = |a: i32, b: i32, c: i32| (10 * a + 11 * b).wrapping_add(c.wrapping_mul(i32::MAX));
    assert_eq!(output, [50, last(1, 2, 3), 122, last(4, 5, 6)]);
}
