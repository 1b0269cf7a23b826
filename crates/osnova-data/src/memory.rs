//! Memory whose size a file or a caller decides: where it ends, an error and not the end of the process.

use crate::{DataError, Result};

/// An empty vector with room for exactly `count` elements; `None` is a count that does not even fit in a `usize`.
pub(crate) fn room<T>(operation: &'static str, what: &str, count: Option<usize>) -> Result<Vec<T>> {
    let mut values = Vec::new();
    match count {
        Some(count) if values.try_reserve_exact(count).is_ok() => Ok(values),
        _ => Err(out_of_memory::<T>(operation, what, count)),
    }
}

/// Makes room for `count` more elements; grows by doubling, as `Vec` does.
pub(crate) fn reserve<T>(operation: &'static str, what: &str, values: &mut Vec<T>, count: usize) -> Result<()> {
    let total = values.len().checked_add(count);
    values.try_reserve(count).map_err(|_| out_of_memory::<T>(operation, what, total))
}

/// `0..count` as a vector.
pub(crate) fn indices(operation: &'static str, count: usize) -> Result<Vec<usize>> {
    let mut indices = room(operation, "the indices of the samples", Some(count))?;
    indices.extend(0..count);
    Ok(indices)
}

#[cold]
pub(crate) fn out_of_memory<T>(operation: &'static str, what: &str, count: Option<usize>) -> DataError {
    let bytes = count.and_then(|count| (count as u64).checked_mul(size_of::<T>() as u64));
    DataError::OutOfMemory { operation, what: what.to_owned(), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_memory_are_errors() {
        assert_eq!(indices("test", 3).unwrap(), [0, 1, 2]);
        for count in [None, Some(usize::MAX), Some(usize::MAX / 8), Some(1 << 50)] {
            let error = room::<u64>("test", "everything", count).unwrap_err();
            assert!(matches!(error, DataError::OutOfMemory { .. }), "{error}");
        }
        let error = reserve("test", "more", &mut vec![0u64], usize::MAX).unwrap_err().to_string();
        assert_eq!(error, "test: out of memory: more would take more than 2^64 bytes. Use fewer or smaller samples");
        let error = indices("test", 1 << 50).unwrap_err().to_string();
        assert!(error.contains("would take 9007199254740992 bytes"), "{error}");
    }
}
