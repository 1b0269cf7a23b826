//! Modules, and what can be asked of each.

use crate::param::moved;
use crate::state::Name;
use crate::{Buffer, Mode, Param, Segment, StateDict, StateDictMismatch, Summary, Visit, Visitor, VisitorMut};
use osnova_tensor::random::Stream;
use osnova_tensor::{Activation, Device, Error, Generator, IntoShape, Meta, Result, Shape, Tensor};
use std::any::Any;
use std::fmt::{Debug, Write};

/// A part of a model: it knows its parameters by name.
///
/// Derive it, and every field is visited in order: parameters, buffers, generators, other modules, lists, options and boxes
/// of them; plain data (numbers, strings) is passed over. Names are those of PyTorch's state dicts: `hidden.weight`,
/// `layers.0.weight`. A type of your own in a field needs the derive too, or `#[module(skip)]`.
///
/// ```
/// use osnova_nn::{Forward, Linear, Module};
/// use osnova_tensor::{Device, Generator, Result, Tensor};
///
/// #[derive(Module, Clone, Debug)]
/// struct Mlp {
///     hidden: Linear,
///     out: Linear,
/// }
///
/// impl Mlp {
///     fn new(generator: &Generator, device: Device) -> Result<Self> {
///         Ok(Self { hidden: Linear::new(784, 128, generator, device)?, out: Linear::new(128, 10, generator, device)? })
///     }
/// }
///
/// impl Forward for Mlp {
///     fn forward(&self, input: &Tensor) -> Result<Tensor> {
///         self.out.forward(&self.hidden.forward(input)?.relu()?)
///     }
/// }
///
/// # fn main() -> Result<()> {
/// use osnova_cpu::CpuDevice;
/// let model = Mlp::new(&Generator::new(0), Device::cpu())?;
/// assert_eq!(model.parameter_count(), 784 * 128 + 128 + 128 * 10 + 10);
/// assert_eq!(model.state_dict().names().collect::<Vec<_>>(), ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]);
/// # Ok(())
/// # }
/// ```
///
/// A field that cannot be visited does not compile:
///
/// ```compile_fail,E0277
/// use osnova_nn::{Linear, Module};
/// struct Settings;
/// #[derive(Module)]
/// struct Net { out: Linear, settings: Settings }
/// ```
///
/// With `#[module(skip)]` it does:
///
/// ```
/// use osnova_nn::{Linear, Module};
/// struct Settings;
/// #[derive(Module)]
/// struct Net { #[module(rename = "head")] out: Linear, #[module(skip)] settings: Settings }
/// ```
///
/// An unknown option does not, nor does a name with a dot:
///
/// ```compile_fail
/// #[derive(osnova_nn::Module)]
/// struct Net { #[module(ignore)] size: usize }
/// ```
///
/// ```compile_fail
/// #[derive(osnova_nn::Module)]
/// struct Net { #[module(rename = "a.b")] size: usize }
/// ```
pub trait Module: Visit {
    /// The kind of module, as a summary shows it: the type's name.
    fn kind(&self) -> &'static str {
        "Module"
    }

    /// The shape of the output for an input of this shape, where the module can tell.
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        let _ = input;
        None
    }

    /// All parameters, in the order of the fields.
    fn parameters(&self) -> Vec<&Param> {
        let mut parameters = Parameters(Vec::new());
        self.visit(&mut parameters);
        parameters.0
    }

    /// All parameters, to be changed, in the same order.
    fn parameters_mut(&mut self) -> Vec<&mut Param> {
        let mut parameters = ParametersMut(Vec::new());
        self.visit_mut(&mut parameters);
        parameters.0
    }

    /// All parameters with their dotted names.
    fn named_parameters(&self) -> Vec<(String, &Param)> {
        let mut named = Named::default();
        self.visit(&mut named);
        named.parameters
    }

    /// All parameters with their dotted names, to be changed.
    fn named_parameters_mut(&mut self) -> Vec<(String, &mut Param)> {
        let mut named = NamedMut::default();
        self.visit_mut(&mut named);
        named.parameters
    }

    /// All buffers with their dotted names.
    fn named_buffers(&self) -> Vec<(String, &Buffer)> {
        let mut named = Named::default();
        self.visit(&mut named);
        named.buffers
    }

    /// How many numbers the parameters hold.
    fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|parameter| parameter.count()).sum()
    }

    /// The device of the first parameter; `None` without parameters.
    fn device(&self) -> Option<Device> {
        self.parameters().first().map(|parameter| parameter.device())
    }

    /// The values of all parameters and buffers by name, as constants that share the elements.
    fn state_dict(&self) -> StateDict {
        let mut state = States::default();
        self.visit(&mut state);
        state.entries
    }

    /// Takes over the values of all parameters and buffers, moved to their devices.
    ///
    /// # Errors
    /// Names that are missing or unexpected, shapes and dtypes that differ: an [`Error::External`] whose source is a
    /// [`StateDictMismatch`] with all of them. Nothing is changed then.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let mut named = NamedMut::default();
        self.visit_mut(&mut named);
        let targets = named.targets();
        let mismatch = compare(&targets, state);
        if !mismatch.is_empty() {
            return Err(mismatch.into());
        }
        load(targets, state)
    }

    /// Takes over what fits, for a model that shares only some of its layers with the saved one, and reports the rest.
    ///
    /// # Errors
    /// A device that cannot take the values. Nothing is changed then.
    fn load_matching(&mut self, state: &StateDict) -> Result<StateDictMismatch> {
        let mut named = NamedMut::default();
        self.visit_mut(&mut named);
        let mut targets = named.targets();
        let mismatch = compare(&targets, state);
        let without_value = mismatch.without_value();
        targets.retain(|(name, _)| !without_value.contains(name.as_str()));
        load(targets, state)?;
        Ok(mismatch)
    }

    /// Where each random generator (dropout's, say) stands, by name: what a checkpoint keeps to go on bit by bit.
    fn random_state(&self) -> Vec<(String, Stream)> {
        let mut named = Named::default();
        self.visit(&mut named);
        named.generators.into_iter().map(|(name, generator)| (name, generator.position())).collect()
    }

    /// Sets every random generator to where it stood.
    ///
    /// # Errors
    /// Other generators than the module has. Nothing is changed then.
    fn load_random_state(&mut self, state: &[(String, Stream)]) -> Result<()> {
        let mut named = NamedMut::default();
        self.visit_mut(&mut named);
        let expected: Vec<&str> = named.generators.iter().map(|(name, _)| name.as_str()).collect();
        let given: Vec<&str> = state.iter().map(|(name, _)| name.as_str()).collect();
        if expected != given {
            let differ = expected.iter().zip(&given).position(|(own, other)| own != other);
            let problem = match differ {
                Some(at) => {
                    format!("generator {at} of the module is {}, of the state {}", Name(expected[at]), Name(given[at]))
                }
                None => format!("the module has {} generators, the state {}", expected.len(), given.len()),
            };
            return Err(Error::argument("load_random_state", problem, "Load the state of the same model"));
        }
        for ((_, generator), (_, stream)) in named.generators.into_iter().zip(state) {
            generator.set_position(*stream);
        }
        Ok(())
    }

    /// Switches to training: dropout drops.
    fn train(&mut self) {
        self.visit_mut(&mut SetMode(Mode::Training));
    }

    /// Switches to evaluation: the output depends on the input alone.
    fn eval(&mut self) {
        self.visit_mut(&mut SetMode(Mode::Evaluation));
    }

    /// Makes all parameters constants: see [`Param::freeze`].
    fn freeze(&mut self) {
        self.parameters_mut().into_iter().for_each(Param::freeze);
    }

    /// Lets all parameters be trained again.
    fn unfreeze(&mut self) {
        self.parameters_mut().into_iter().for_each(Param::unfreeze);
    }

    /// Moves parameters and buffers to a device.
    ///
    /// # Errors
    /// A device that cannot take the values. What was moved before the first failure stays moved.
    fn to_device(&mut self, device: Device) -> Result<()> {
        let mut mover = Move { device, result: Ok(()) };
        self.visit_mut(&mut mover);
        mover.result
    }

    /// A copy to predict with: in evaluation mode, on the device that does not record. It shares the values (until the
    /// next update of this one) and costs next to nothing.
    ///
    /// # Errors
    /// Out of memory.
    fn inference(&self) -> Result<Self>
    where
        Self: Sized + Clone,
    {
        let mut copy = self.clone();
        copy.eval();
        if let Some(device) = self.device() {
            copy.to_device(device.without_recording())?;
        }
        Ok(copy)
    }

    /// A table of the layers with their parameters, and their output shapes as far as they can be told when the layers run
    /// one after another on an input of this shape.
    ///
    /// # Errors
    /// A shape with too many axes or elements.
    fn summary(&self, input: impl IntoShape) -> Result<Summary>
    where
        Self: Sized,
    {
        Ok(Summary::of(self, Some(input.into_shape()?)))
    }
}

/// A module that makes one tensor of another.
pub trait Forward {
    /// The output for an input.
    ///
    /// # Errors
    /// An input that does not fit the layer.
    fn forward(&self, input: &Tensor) -> Result<Tensor>;

    /// The output with an activation applied: layers with a fused kernel for both override it.
    ///
    /// # Errors
    /// As for [`forward`](Self::forward).
    fn forward_activated(&self, input: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward(input)?.activate(activation)
    }

    /// The activation that the layer is, if it is nothing else: then [`Sequential`](crate::Sequential) hands it to the layer before.
    fn activation(&self) -> Option<Activation> {
        None
    }
}

/// A module with a forward pass that can stand in a list with others: every type that is [`Module`], [`Forward`], `Clone`
/// and `Debug` is one.
pub trait Layer: Module + Forward + Debug + Send + Sync {
    /// A copy in a box.
    fn clone_box(&self) -> Box<dyn Layer>;
    /// The layer as what it is, for `downcast_ref`.
    fn as_any(&self) -> &dyn Any;
    /// The layer as what it is, for `downcast_mut`.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Module + Forward + Clone + Debug + Send + Sync + 'static> Layer for T {
    fn clone_box(&self) -> Box<dyn Layer> {
        Box::new(self.clone())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Clone for Box<dyn Layer> {
    fn clone(&self) -> Self {
        // Of the layer, not of the box: that one would box a box.
        (**self).clone_box()
    }
}

impl<T: Module + ?Sized> Module for Box<T> {
    fn kind(&self) -> &'static str {
        (**self).kind()
    }
    fn output_shape(&self, input: &Shape) -> Option<Shape> {
        (**self).output_shape(input)
    }
}

impl<T: Forward + ?Sized> Forward for Box<T> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        (**self).forward(input)
    }
    fn forward_activated(&self, input: &Tensor, activation: Activation) -> Result<Tensor> {
        (**self).forward_activated(input, activation)
    }
    fn activation(&self) -> Option<Activation> {
        (**self).activation()
    }
}

impl<T: Module> Module for Vec<T> {
    fn kind(&self) -> &'static str {
        "Vec"
    }
}

/// The dotted name of where a visit stands.
#[derive(Default)]
pub(crate) struct Path {
    name: String,
    lengths: Vec<usize>,
}

impl Path {
    pub(crate) fn enter(&mut self, segment: Segment<'_>) {
        self.lengths.push(self.name.len());
        let dot = if self.name.is_empty() { "" } else { "." };
        // Writing to a string cannot fail.
        let _ = write!(self.name, "{dot}{segment}");
    }

    pub(crate) fn leave(&mut self) {
        self.name.truncate(self.lengths.pop().unwrap_or_default());
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

struct Parameters<'a>(Vec<&'a Param>);

impl<'a> Visitor<'a> for Parameters<'a> {
    fn parameter(&mut self, parameter: &'a Param) {
        self.0.push(parameter);
    }
}

struct ParametersMut<'a>(Vec<&'a mut Param>);

impl<'a> VisitorMut<'a> for ParametersMut<'a> {
    fn parameter(&mut self, parameter: &'a mut Param) {
        self.0.push(parameter);
    }
}

#[derive(Default)]
struct Named<'a> {
    path: Path,
    parameters: Vec<(String, &'a Param)>,
    buffers: Vec<(String, &'a Buffer)>,
    generators: Vec<(String, &'a Generator)>,
}

impl<'a> Visitor<'a> for Named<'a> {
    fn enter(&mut self, segment: Segment<'_>) {
        self.path.enter(segment);
    }
    fn leave(&mut self) {
        self.path.leave();
    }
    fn parameter(&mut self, parameter: &'a Param) {
        self.parameters.push((self.path.name().to_owned(), parameter));
    }
    fn buffer(&mut self, buffer: &'a Buffer) {
        self.buffers.push((self.path.name().to_owned(), buffer));
    }
    fn generator(&mut self, generator: &'a Generator) {
        self.generators.push((self.path.name().to_owned(), generator));
    }
}

#[derive(Default)]
struct NamedMut<'a> {
    path: Path,
    parameters: Vec<(String, &'a mut Param)>,
    buffers: Vec<(String, &'a mut Buffer)>,
    generators: Vec<(String, &'a mut Generator)>,
}

/// What a state dict's entry goes into.
enum Target<'a> {
    Param(&'a mut Param),
    Buffer(&'a mut Buffer),
}

impl<'a> NamedMut<'a> {
    fn targets(self) -> Vec<(String, Target<'a>)> {
        let parameters = self.parameters.into_iter().map(|(name, parameter)| (name, Target::Param(parameter)));
        let buffers = self.buffers.into_iter().map(|(name, buffer)| (name, Target::Buffer(buffer)));
        parameters.chain(buffers).collect()
    }
}

impl<'a> VisitorMut<'a> for NamedMut<'a> {
    fn enter(&mut self, segment: Segment<'_>) {
        self.path.enter(segment);
    }
    fn leave(&mut self) {
        self.path.leave();
    }
    fn parameter(&mut self, parameter: &'a mut Param) {
        self.parameters.push((self.path.name().to_owned(), parameter));
    }
    fn buffer(&mut self, buffer: &'a mut Buffer) {
        self.buffers.push((self.path.name().to_owned(), buffer));
    }
    fn generator(&mut self, generator: &'a mut Generator) {
        self.generators.push((self.path.name().to_owned(), generator));
    }
}

/// What keeps a state dict from fitting. A parameter knows its shape also when a failed update has cost it its values.
fn compare(targets: &[(String, Target<'_>)], state: &StateDict) -> StateDictMismatch {
    let meta = |name: &str, target: &Target<'_>| match target {
        Target::Param(parameter) => parameter.meta(),
        Target::Buffer(buffer) => {
            let value = buffer.value();
            // A counter has the index dtype of the device that it was saved on.
            let counter =
                state.get(name).map(Tensor::dtype).filter(|saved| saved.is_index() && value.dtype().is_index());
            Meta::new(*value.shape(), counter.unwrap_or(value.dtype()))
        }
    };
    let expected: Vec<(String, Meta)> =
        targets.iter().map(|(name, target)| (name.clone(), meta(name, target))).collect();
    StateDictMismatch::between(&expected, state)
}

/// Puts the entries of a state dict where they belong; shapes and dtypes agree, but for those of counters. All are moved to their
/// devices before the first is put in place, so that a failure changes nothing.
fn load(targets: Vec<(String, Target<'_>)>, state: &StateDict) -> Result<()> {
    let ready =
        targets.into_iter().filter_map(|(name, target)| Some((state.get(&name)?, target))).map(|(value, target)| {
            let (device, dtype) = match &target {
                Target::Param(parameter) => (parameter.device(), parameter.meta().dtype),
                Target::Buffer(buffer) => (buffer.value().device(), buffer.value().dtype()),
            };
            Ok((moved(&value.detach(), dtype, device.without_recording())?, target))
        });
    let ready: Vec<(Tensor, Target<'_>)> = ready.collect::<Result<_>>()?;
    for (value, target) in ready {
        match target {
            Target::Param(parameter) => parameter.set_value(value)?,
            Target::Buffer(buffer) => buffer.set(value)?,
        }
    }
    Ok(())
}

#[derive(Default)]
struct States {
    path: Path,
    entries: StateDict,
}

impl<'a> Visitor<'a> for States {
    fn enter(&mut self, segment: Segment<'_>) {
        self.path.enter(segment);
    }
    fn leave(&mut self) {
        self.path.leave();
    }
    fn parameter(&mut self, parameter: &'a Param) {
        self.entries.insert(self.path.name(), parameter.value());
    }
    fn buffer(&mut self, buffer: &'a Buffer) {
        self.entries.insert(self.path.name(), buffer.value());
    }
}

struct SetMode(Mode);

impl<'a> VisitorMut<'a> for SetMode {
    fn mode(&mut self, mode: &'a mut Mode) {
        *mode = self.0;
    }
}

struct Move {
    device: Device,
    result: Result<()>,
}

impl<'a> VisitorMut<'a> for Move {
    fn parameter(&mut self, parameter: &'a mut Param) {
        if self.result.is_ok() {
            self.result = parameter.to_device(self.device);
        }
    }
    fn buffer(&mut self, buffer: &'a mut Buffer) {
        if self.result.is_ok() {
            self.result = buffer.to_device(self.device);
        }
    }
}
