//! A project: a folder with `throng.toml` and `sql/`, as an analyst keeps it.
//!
//! The engine loads it once per command. Nothing here opens a store or plans SQL.
//!
//! - [`config`]: the settings in `throng.toml`
//! - [`front_matter`]: what the comment lines at the head of a SQL file say
//! - [`sql_file`]: the files of `sql/`, by kind
//! - [`example`]: the demo project, carried within the binary
//! - [`init`]: a new project with commented examples

pub mod config;
pub mod example;
pub mod front_matter;
pub mod init;
pub mod sql_file;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, nearest};

pub use config::Config;
pub use front_matter::FrontMatter;
pub use sql_file::{Kind, SqlFile};

/// The file that makes a folder a project.
pub const CONFIG_FILE: &str = "throng.toml";

/// A project as it lies on the disk.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// `throng.toml`.
    pub config: Config,
    /// `sql/sources`, by name.
    pub sources: Vec<SqlFile>,
    /// `sql/segments`, by name.
    pub segments: Vec<SqlFile>,
    /// `sql/features`, by name.
    pub features: Vec<SqlFile>,
    /// `sql/tests`, by name.
    pub tests: Vec<SqlFile>,
}

impl Project {
    /// Loads the project in `root`.
    ///
    /// # Errors
    /// Where there is no `throng.toml`, it has a key that Throng does not know, two files have one
    /// name, or a name cannot be one. A fault within one SQL file is that file's own
    /// ([`SqlFile::checked`]), so that it does not stop the others.
    pub fn load(root: &Path) -> Result<Self> {
        if !root.join(CONFIG_FILE).exists() {
            return Err(without_project(format!("no {CONFIG_FILE} in {}", root.display())));
        }
        let config = Config::load(&root.join(CONFIG_FILE))?;
        let load = |kind| sql_file::load(root, kind);
        Ok(Self {
            root: root.to_path_buf(),
            config,
            sources: load(Kind::Source)?,
            segments: load(Kind::Segment)?,
            features: load(Kind::Feature)?,
            tests: load(Kind::Test)?,
        })
    }

    /// The nearest folder from `start` upwards that has a `throng.toml`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(start: &Path) -> Result<PathBuf> {
        start
            .ancestors()
            .find(|folder| folder.join(CONFIG_FILE).is_file())
            .map(Path::to_path_buf)
            .ok_or_else(|| {
                without_project(format!("no {CONFIG_FILE} in {} or above it", start.display()))
            })
    }

    /// The segment called `name`.
    ///
    /// # Errors
    /// Where there is none; the nearest name is a hint.
    pub fn segment(&self, name: &str) -> Result<&SqlFile> {
        self.segments.iter().find(|s| s.name.as_str() == name).ok_or_else(|| {
            let error = Error::input(format!("no segment \"{name}\" in sql/segments"));
            match nearest(name, self.segments.iter().map(|s| s.name.as_str())) {
                Some(near) => error.with_hint(format!("did you mean {near}?")),
                None => error.with_hint("`throng ls` lists them"),
            }
        })
    }

    /// What its SQL files may not say as it was meant.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let kinds = [&self.sources, &self.segments, &self.features, &self.tests];
        kinds.into_iter().flatten().flat_map(|file| {
            file.front.notes().map(|(line, note)| format!("{}:{line}: {note}", file.path.display()))
        })
    }

    /// The folder that rejected rows are written to.
    pub fn rejects_folder(&self) -> PathBuf {
        self.root.join("rejects")
    }
}

/// `text` without the mark of byte order that some editors put before it.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn without_project(message: String) -> Error {
    Error::input(message)
        .with_hint("make a project with `throng init DIR`, or name one with --project DIR")
}
