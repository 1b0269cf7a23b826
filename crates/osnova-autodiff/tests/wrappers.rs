//! The devices that look on: `checked` and `profiled`.

mod common;

use common::{close, constant, plain};
use osnova_autodiff::{AutodiffDevice, CheckedDevice, ProfiledDevice};
use osnova_tensor::{DType, Device, Error, Result, Tensor};

#[test]
fn checked_names_the_first_operation_that_leaves_the_finite() -> Result<()> {
    let device = plain().checked();
    let x = Tensor::new([[1.0, 4.0], [-9.0, 16.0]], device)?;
    close(&x.abs()?.sqrt()?, &[1.0, 2.0, 3.0, 4.0]);
    let error = x.sqrt().unwrap_err();
    assert!(matches!(*error, Error::NotFinite { operation: "sqrt", .. }));
    let text = error.to_string();
    for part in ["[1, 0]", "NaN", "[2, 2]", "-9e0", "1.6e1", "clamp"] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    let error = (&x / Tensor::zeros([2usize, 2], DType::F64, device)?).unwrap_err();
    assert!(matches!(*error, Error::NotFinite { operation: "div", .. }));
    Ok(())
}

#[test]
fn checked_lets_through_what_was_infinite_before() -> Result<()> {
    let device = plain().checked();
    let mask = Tensor::full(3, f64::NEG_INFINITY, DType::F64, device)?;
    let scores = Tensor::new([true, false, false], device)?.where_(&mask, Tensor::new([0.0, 1.0, 1.0], device)?)?;
    close(&scores.softmax(0)?, &[0.0, 0.5, 0.5]);
    assert!((&scores - &scores).is_ok());
    Ok(())
}

#[test]
fn checked_looks_at_the_backward_pass() -> Result<()> {
    let device = plain().checked().autodiff();
    let x = Tensor::new([0.0, 1.0], device)?.into_tracked()?;
    // √0 is 0, its derivative infinite.
    let loss = x.sqrt()?.sum(.., false)?;
    let error = loss.backward().unwrap_err();
    assert!(matches!(*error, Error::NotFinite { operation: "div", .. }), "{error}");
    let x = Tensor::new([4.0, 1.0], device)?.into_tracked()?;
    close(x.sqrt()?.sum(.., false)?.backward()?.get(&x).unwrap(), &[0.25, 0.5]);
    Ok(())
}

#[test]
fn autodiff_stays_outermost() {
    assert_eq!(plain().autodiff().checked(), plain().checked().autodiff());
    assert_eq!(plain().autodiff().profiled(), plain().profiled().autodiff());
    assert_eq!(plain().checked(), plain().checked());
    assert_eq!(plain().autodiff().autodiff().checked(), plain().checked().autodiff().autodiff());
    let both = plain().profiled().checked().autodiff();
    assert_eq!(both.depth(), plain().depth() + 3);
    assert!(both.report().is_some());
    assert!(plain().report().is_none());
}

#[test]
fn profiled_counts_operations_and_bytes() -> Result<()> {
    // A device of its own: other tests profile the reference device too.
    let device: Device = plain().checked().profiled();
    device.reset_report();
    let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], device.autodiff())?.into_tracked()?;
    let y = x.matmul(&x.t()?)?;
    let loss = y.exp()?.sum(.., false)?;
    loss.backward()?;
    let report = device.autodiff().report().unwrap();
    let matmul = report.operation("matmul").unwrap();
    assert_eq!((matmul.count, matmul.bytes_written), (3, 8 * (4 + 6 + 6)));
    assert_eq!(matmul.bytes_read, 8 * (12 + 2 * (4 + 6)));
    let exp = report.operation("exp").unwrap();
    assert_eq!((exp.count, exp.bytes_read, exp.bytes_written), (1, 32, 32));
    assert_eq!(report.operation("permute").map(|row| row.bytes_read), Some(0));
    let table = report.to_string();
    assert!(table.starts_with("operation") && table.contains("matmul") && table.contains("total"), "{table}");
    device.reset_report();
    assert_eq!(device.report().unwrap().operations, []);
    let _ = constant(1.0);
    Ok(())
}
