//! Tensors, operations as data, and the backend interface of the Osnova machine-learning framework
