//! The Vulkan loader and instance: one for the program.

use osnova_tensor::{Error, Result};
use std::ffi::OsStr;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use vulkano::instance::debug::{
    DebugUtilsMessageSeverity, DebugUtilsMessageType, DebugUtilsMessengerCallback, DebugUtilsMessengerCreateInfo,
    ValidationFeatureEnable,
};
use vulkano::instance::{Instance, InstanceCreateFlags, InstanceCreateInfo, InstanceExtensions};
use vulkano::{Validated, VulkanError, VulkanLibrary};

const VALIDATION_LAYER: &str = "VK_LAYER_KHRONOS_validation";

/// What the validation layers complained about since somebody last asked.
static COMPLAINTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn complaints() -> MutexGuard<'static, Vec<String>> {
    COMPLAINTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens with a complaint of the validation layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validation {
    /// The layers are not asked.
    Off,
    /// It is the error of the next call that waits.
    Error,
    /// The program ends at once: so that no test can pass that caused one, not even at its very end.
    Abort,
}

impl Validation {
    /// What a value of `OSNOVA_VULKAN_VALIDATION` says; none for what it does not know.
    fn parse(value: Option<&OsStr>) -> Option<Self> {
        let Some(value) = value else { return Some(Self::Off) };
        match value.to_str()? {
            "" | "0" => Some(Self::Off),
            "1" => Some(Self::Error),
            "abort" => Some(Self::Abort),
            _ => None,
        }
    }

    /// What the variable says, read once.
    fn chosen() -> Option<Self> {
        static CHOSEN: OnceLock<Option<Validation>> = OnceLock::new();
        *CHOSEN.get_or_init(|| Self::parse(std::env::var_os("OSNOVA_VULKAN_VALIDATION").as_deref()))
    }
}

/// Whether `OSNOVA_VULKAN_VALIDATION` asks for the validation layers.
pub(crate) fn validating() -> bool {
    matches!(Validation::chosen(), Some(Validation::Error | Validation::Abort))
}

/// The first complaint of the validation layers since the last call, as an error.
pub(crate) fn check_validation(device: &str) -> Result<()> {
    let mut complaints = complaints();
    if complaints.is_empty() {
        return Ok(());
    }
    let count = complaints.len();
    let first = complaints.swap_remove(0);
    complaints.clear();
    let problem = format!("the validation layers complained {count} times, first: {first}");
    Err(Error::device(device, problem, "This is a defect of osnova-vulkan: report it"))
}

/// Why a call failed, in the words of the innermost cause: vulkano's own around it say no more than that there was an error.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let innermost = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
    // One line, however much a loader has to say.
    innermost.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The instance, made at the first call. A failure is remembered too: drivers do not appear while a program runs.
pub(crate) fn instance() -> Result<Arc<Instance>> {
    static INSTANCE: OnceLock<std::result::Result<Arc<Instance>, (String, &'static str)>> = OnceLock::new();
    match INSTANCE.get_or_init(create) {
        Ok(instance) => Ok(instance.clone()),
        Err((problem, advice)) => Err(Error::device("vulkan", problem, *advice)),
    }
}

fn create() -> std::result::Result<Arc<Instance>, (String, &'static str)> {
    const DRIVER: &str =
        "Install or update the GPU's driver; the software driver is in the package mesa-vulkan-drivers";
    if Validation::chosen().is_none() {
        return Err((
            "OSNOVA_VULKAN_VALIDATION has a value that says nothing".into(),
            "Set it to 1, to abort, or to 0 for no validation, or unset it",
        ));
    }
    let library = VulkanLibrary::new().map_err(|error| {
        (
            format!("no Vulkan loader could be opened ({})", reason(&error)),
            "Install one (package libvulkan1 on Debian and Ubuntu, vulkan-loader on Fedora) and a driver for the GPU",
        )
    })?;
    let mut info = InstanceCreateInfo { application_name: Some("osnova".into()), ..InstanceCreateInfo::default() };
    if library.supported_extensions().khr_portability_enumeration {
        // Drivers on top of Metal are listed only if asked for.
        info.flags |= InstanceCreateFlags::ENUMERATE_PORTABILITY;
        info.enabled_extensions.khr_portability_enumeration = true;
    }
    if validating() {
        let layers = library
            .layer_properties()
            .map_err(|error| (format!("the layers cannot be listed: {}", reason(&error)), DRIVER))?;
        if !layers.into_iter().any(|layer| layer.name() == VALIDATION_LAYER) {
            return Err((
                "OSNOVA_VULKAN_VALIDATION is set, but there are no validation layers".into(),
                "Install them (package vulkan-validationlayers), or unset the variable",
            ));
        }
        info.enabled_layers.push(VALIDATION_LAYER.into());
        let extensions =
            InstanceExtensions { ext_debug_utils: true, ext_validation_features: true, ..InstanceExtensions::empty() };
        info.enabled_extensions |= extensions;
        info.enabled_validation_features.push(ValidationFeatureEnable::SynchronizationValidation);
        info.debug_utils_messengers.push(messenger());
    }
    let instance = Instance::new(library, info).map_err(|error| match error {
        // What a loader says that finds none.
        Validated::Error(VulkanError::IncompatibleDriver) => (no_driver(), DRIVER),
        error => (format!("the Vulkan instance could not be made: {}", reason(&error)), DRIVER),
    })?;
    if validating() {
        let messenger = vulkano::instance::debug::DebugUtilsMessenger::new(instance.clone(), messenger())
            .map_err(|error| (format!("the debug messenger could not be made: {}", reason(&error)), DRIVER))?;
        // It listens as long as the instance lives, which is as long as the program runs.
        std::mem::forget(messenger);
    }
    Ok(instance)
}

/// That there is no driver, and which variables keep the loader from finding one.
fn no_driver() -> String {
    let chosen: Vec<&str> = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]
        .into_iter()
        .filter(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        .collect();
    match chosen[..] {
        [] => "no Vulkan driver is installed".to_owned(),
        _ => format!("there is no Vulkan driver in the files that {} names", chosen.join(" or ")),
    }
}

fn messenger() -> DebugUtilsMessengerCreateInfo {
    // SAFETY: the callback makes no Vulkan calls.
    let callback = unsafe {
        DebugUtilsMessengerCallback::new(|_, _, data| {
            // Past what captures the output of tests.
            let _ = writeln!(std::io::stderr(), "vulkan validation: {}", data.message);
            if Validation::chosen() == Some(Validation::Abort) {
                std::process::abort();
            }
            complaints().push(data.message.to_owned());
        })
    };
    DebugUtilsMessengerCreateInfo {
        message_severity: DebugUtilsMessageSeverity::ERROR | DebugUtilsMessageSeverity::WARNING,
        message_type: DebugUtilsMessageType::VALIDATION | DebugUtilsMessageType::PERFORMANCE,
        ..DebugUtilsMessengerCreateInfo::user_callback(callback)
    }
}
