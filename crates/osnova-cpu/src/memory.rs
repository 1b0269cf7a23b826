//! Buffers.
use bytemuck::Pod;
#[derive(Debug)]
pub(crate) struct Buffer {
    words: Vec<u64>,
    bytes: usize,
}
impl Buffer {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { words: vec![0; bytes.div_ceil(8)], bytes }
    }
    pub(crate) fn from_vec<T: Pod>(values: Vec<T>) -> Self {
        let mut buffer = Self::new(size_of_val(&values[..]));
        buffer.as_mut_slice().copy_from_slice(&values);
        buffer
    }
    pub(crate) fn as_slice<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(&bytemuck::cast_slice::<u64, u8>(&self.words)[..self.bytes])
    }
    pub(crate) fn as_mut_slice<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<u64, u8>(&mut self.words)[..self.bytes])
    }
}
