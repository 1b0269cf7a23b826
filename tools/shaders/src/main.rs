//! Compiles the shaders of `osnova-vulkan`: `cargo xtask shaders [--check] [NAME…]`.
//!
//! Each `shaders/*.comp` says in its first lines which modules are made of it, one a line, with the macros that make it:
//!
//! ```glsl
//! //@ unary_f32 DTYPE_F32
//! //@ unary_f64 DTYPE_F64 TABLE=2
//! ```
//!
//! A line `//@validator 2024.1` among them says which release of SPIRV-Tools knows what the modules use: an older spirv-val, such
//! as a distribution's, is not asked about them, and a note says so.
//!
//! The modules go to `spirv/`, with `table.rs`, which embeds them, and `manifest.json`, which says what each was made of:
//! the SHA-256 of the source with everything it includes and of its macros, and that of the module. `--check` compiles again,
//! compares every byte, and runs spirv-val where there is one. With names, only sources whose file name contains one of them.
#![forbid(unsafe_code)]

use glslang::include::{IncludeHandler, IncludeResult, IncludeType};
use glslang::{
    Compiler, CompilerOptions, Shader, ShaderInput, ShaderSource, ShaderStage, SourceLanguage, SpirvVersion, Target,
    VulkanVersion,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T, E = String> = std::result::Result<T, E>;

/// What the manifest says of a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    source: String,
    defines: Vec<String>,
    source_sha256: String,
    spirv_sha256: String,
}

/// A module to be made.
struct Variant {
    name: String,
    source: PathBuf,
    defines: Vec<String>,
    /// The first release of SPIRV-Tools that can validate it.
    validator: Release,
}

/// A release of SPIRV-Tools: year and number.
type Release = (u32, u32);

struct Folders {
    shaders: PathBuf,
    spirv: PathBuf,
}

fn main() -> ExitCode {
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    if let Some(unknown) = flags.iter().find(|flag| *flag != "--check") {
        eprintln!("shaders: unknown option {unknown}; there is --check");
        return ExitCode::FAILURE;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/osnova-vulkan");
    let folders = Folders { shaders: root.join("shaders"), spirv: root.join("spirv") };
    match run(&folders, !flags.is_empty(), &names) {
        Ok(summary) => {
            println!("shaders: {summary}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("shaders: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(folders: &Folders, check: bool, names: &[String]) -> Result<String> {
    let wanted = |file: &str| names.is_empty() || names.iter().any(|name| file.contains(name.as_str()));
    let old: BTreeMap<String, Entry> = match fs::read_to_string(folders.spirv.join("manifest.json")) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| format!("manifest.json cannot be read: {error}"))?,
        Err(_) => BTreeMap::new(),
    };
    let mut manifest = BTreeMap::new();
    let mut problems = Vec::new();
    let validator = Validator::find()?;
    let mut compiled = 0;
    let mut bytes = 0;
    for variant in variants(&folders.shaders)? {
        let name = variant.name.clone();
        let file = variant.source.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        if manifest.contains_key(&name) {
            problems.push(format!("two sources make a module {name}"));
            continue;
        }
        if !wanted(&file) {
            manifest.extend(old.get(&name).map(|entry| (name, entry.clone())));
            continue;
        }
        match compile(&folders.shaders, &variant) {
            Ok((spirv, source_sha256)) => {
                compiled += 1;
                bytes += spirv.len();
                let path = folders.spirv.join(format!("{name}.spv"));
                let entry = Entry { source: file, defines: variant.defines, source_sha256, spirv_sha256: hash(&spirv) };
                let current = fs::read(&path).ok();
                if check {
                    if current.as_deref() != Some(&spirv[..]) || old.get(&name) != Some(&entry) {
                        problems.push(format!("{name} differs from its source: run `cargo xtask shaders`"));
                    }
                } else if current.as_deref() != Some(&spirv[..]) {
                    fs::write(&path, &spirv)
                        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
                }
                problems.extend(validator.as_ref().and_then(|tool| tool.validate(&path, variant.validator).err()));
                manifest.insert(name, entry);
            }
            Err(problem) => {
                problems.push(problem);
                // What was there before goes on working.
                manifest.extend(old.get(&name).map(|entry| (name, entry.clone())));
            }
        }
    }
    let table = table(manifest.keys());
    let text = serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())? + "\n";
    for (file, contents) in [("table.rs", table), ("manifest.json", text)] {
        let path = folders.spirv.join(file);
        let current = fs::read_to_string(&path).unwrap_or_default();
        if current == contents {
            continue;
        }
        if check {
            problems.push(format!("{file} is out of date: run `cargo xtask shaders`"));
        } else {
            fs::write(&path, contents).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
    }
    problems.extend(strays(folders, &manifest, check));
    if problems.is_empty() {
        Ok(format!("{compiled} modules, {} KiB", bytes / 1024))
    } else {
        Err(format!("{} problems\n{}", problems.len(), problems.join("\n")))
    }
}

/// The modules that the first lines of the sources ask for.
fn variants(shaders: &Path) -> Result<Vec<Variant>> {
    let folder = fs::read_dir(shaders).map_err(|error| format!("{} cannot be read: {error}", shaders.display()))?;
    let mut sources: Vec<PathBuf> = folder.filter_map(|entry| Some(entry.ok()?.path())).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "comp"));
    sources.sort();
    let mut variants = Vec::new();
    for source in sources {
        let text = read(&source)?;
        let before = variants.len();
        let validator = match text.lines().find_map(|line| line.strip_prefix("//@validator ")) {
            Some(wanted) => {
                release(wanted).ok_or_else(|| format!("{}: what release is {wanted}?", source.display()))?
            }
            None => (0, 0),
        };
        for line in text.lines().filter_map(|line| line.strip_prefix("//@ ")) {
            let mut words = line.split_whitespace().map(str::to_owned);
            let name = words.next().ok_or_else(|| format!("{}: a module without a name", source.display()))?;
            variants.push(Variant { name, source: source.clone(), defines: words.collect(), validator });
        }
        if variants.len() == before {
            return Err(format!("{} makes no module: begin it with `//@ name MACRO…`", source.display()));
        }
    }
    Ok(variants)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Finds includes, and remembers the text of each.
struct Includes {
    folder: PathBuf,
    seen: BTreeMap<String, String>,
}

impl IncludeHandler for Includes {
    fn include(&mut self, _: IncludeType, name: &str, _: &str, _: usize) -> Option<IncludeResult> {
        let data = fs::read_to_string(self.folder.join(name)).ok()?;
        self.seen.insert(name.to_owned(), data.clone());
        Some(IncludeResult { name: name.to_owned(), data })
    }
}

/// The module of a variant, and the hash of all it was made of.
fn compile(shaders: &Path, variant: &Variant) -> Result<(Vec<u8>, String)> {
    let compiler = Compiler::acquire().ok_or("glslang does not start")?;
    let text = read(&variant.source)?;
    let mut includes = Includes { folder: shaders.to_owned(), seen: BTreeMap::new() };
    let options = CompilerOptions {
        source_language: SourceLanguage::GLSL,
        target: Target::Vulkan { version: VulkanVersion::Vulkan1_2, spirv_version: SpirvVersion::SPIRV1_5 },
        ..CompilerOptions::default()
    };
    let pairs: Vec<(&str, Option<&str>)> = variant
        .defines
        .iter()
        .map(|define| define.split_once('=').map_or((define.as_str(), None), |(name, value)| (name, Some(value))))
        .collect();
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", variant.name);
    let source = ShaderSource::from(text.as_str());
    let words = {
        let input = ShaderInput::new(&source, ShaderStage::Compute, &options, Some(&pairs[..]), Some(&mut includes))
            .map_err(|error| failed(&error))?;
        let shader = Shader::new(compiler, input).parse().map_err(|error| failed(&error))?;
        shader.compile().map_err(|error| failed(&error))?
    };
    let mut made_of = text;
    for (name, data) in &includes.seen {
        made_of.push_str(&format!("\0{name}\0{data}"));
    }
    made_of.push_str(&format!("\0{}", variant.defines.join(" ")));
    Ok((words.iter().flat_map(|word| word.to_le_bytes()).collect(), hash(made_of.as_bytes())))
}

/// What embeds the modules, sorted by name.
fn table<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let mut text = String::from("// Made by `cargo xtask shaders`.\nstatic SHADERS: &[(&str, &[u8])] = &[\n");
    for name in names {
        text.push_str(&format!("    (\"{name}\", include_bytes!(\"{name}.spv\")),\n"));
    }
    text.push_str("];\n");
    text
}

/// spirv-val, and the release of SPIRV-Tools it belongs to.
struct Validator {
    program: OsString,
    release: Release,
}

impl Validator {
    /// None where it is not installed. `SPIRV_VAL` names another program, which then must be there.
    fn find() -> Result<Option<Self>> {
        let chosen = std::env::var_os("SPIRV_VAL");
        let program = chosen.clone().unwrap_or_else(|| "spirv-val".into());
        match Command::new(&program).arg("--version").output() {
            Ok(output) => {
                let version = String::from_utf8_lossy(&output.stdout);
                // `SPIRV-Tools v2023.1 unknown hash, …`; one that does not say so is taken for the newest.
                let release = version.split_whitespace().find_map(|word| release(word.strip_prefix('v')?));
                Ok(Some(Self { program, release: release.unwrap_or((u32::MAX, 0)) }))
            }
            Err(error) if chosen.is_some() => Err(format!("the program in SPIRV_VAL does not start: {error}")),
            Err(_) => Ok(None),
        }
    }

    /// The verdict on a module, unless it takes a newer release.
    fn validate(&self, path: &Path, wanted: Release) -> Result<()> {
        if self.release < wanted {
            let ((year, number), (wanted_year, wanted_number)) = (self.release, wanted);
            println!(
                "shaders: {} not validated: spirv-val is of {year}.{number}, it takes {wanted_year}.{wanted_number} (SPIRV_VAL names another)",
                path.display()
            );
            return Ok(());
        }
        match Command::new(&self.program).args(["--target-env", "vulkan1.2"]).arg(path).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                Err(format!("spirv-val refuses {}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim()))
            }
            Err(error) => Err(format!("spirv-val does not start: {error}")),
        }
    }
}

/// A release such as `2024.1`.
fn release(text: &str) -> Option<Release> {
    let (year, number) = text.trim().split_once('.')?;
    Some((year.parse().ok()?, number.parse().ok()?))
}

/// Modules that no source makes any more: removed, or under `--check` a problem.
fn strays(folders: &Folders, manifest: &BTreeMap<String, Entry>, check: bool) -> Vec<String> {
    let files = fs::read_dir(&folders.spirv).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let stray = files.filter(|path| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        path.extension().is_some_and(|extension| extension == "spv") && !manifest.contains_key(&stem)
    });
    let outcome = |path: PathBuf| match check {
        true => Some(format!("no source makes {}", path.display())),
        false => fs::remove_file(&path).err().map(|error| format!("{} cannot be removed: {error}", path.display())),
    };
    stray.filter_map(outcome).collect()
}
