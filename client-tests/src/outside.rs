//! Cargo projects outside this repository, like those of other authors. They depend on its crates
//! by path and are built offline, with the versions of this repository's `Cargo.lock`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A project with one package, which is deleted when it is dropped.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
    name: String,
}

impl Project {
    /// Creates a package. `dependencies` are lines of its manifest's `[dependencies]`, in which
    /// `{root}` stands for this repository; `files` are paths below the package with their texts.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn new(name: &str, dependencies: &str, files: &[(&str, &str)]) -> Result<Self> {
        let root = root();
        let folder = tempfile::tempdir()?;
        let dependencies = dependencies.replace("{root}", &root.to_string_lossy());
        // The profile is this repository's, so that what it has built already is used. The workspace
        // keeps Cargo from looking for one above the folder.
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [dependencies]\n{dependencies}\n\n\
             [profile.dev]\ndebug = \"line-tables-only\"\n\n[workspace]\n"
        );
        let project = Self {
            folder,
            name: name.to_owned(),
        };
        project.write("Cargo.toml", &manifest)?;
        for (path, text) in files {
            project.write(path, text)?;
        }
        fs::copy(root.join("Cargo.lock"), project.path().join("Cargo.lock"))?;
        Ok(project)
    }

    /// Returns the package's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a subcommand of Cargo in the package, such as `["build"]` or `["test"]`.
    ///
    /// # Errors
    /// Cargo fails. The error contains its output.
    pub fn cargo(&self, arguments: &[&str]) -> Result<Output> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(arguments)
            .arg("--offline")
            .current_dir(self.path())
            .env("CARGO_TARGET_DIR", target()?)
            .output()
            .context("running cargo")?;
        ensure!(
            output.status.success(),
            "cargo {arguments:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output)
    }

    /// Builds the package and returns the path of its program.
    ///
    /// # Errors
    /// Those of [`Self::cargo`].
    pub fn build(&self) -> Result<PathBuf> {
        self.cargo(&["build"])?;
        // In a folder of its own: another package may have a program of the same name.
        let program = self.path().join(&self.name);
        fs::copy(target()?.join("debug").join(&self.name), &program)?;
        Ok(program)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

/// Returns the folder of this repository.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Returns the folder of build products that contains this program.
fn target() -> Result<PathBuf> {
    // target/PROFILE/deps/PROGRAM
    let program = env::current_exe()?;
    let folder = program.ancestors().nth(3);
    Ok(folder
        .context("the program is in no target folder")?
        .to_owned())
}
