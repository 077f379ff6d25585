//! Where a journal is kept: lines that are only ever appended, on disk or in memory.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use camino::Utf8Path;
use camino::Utf8PathBuf;
use fs_err as fs;

/// Lines that are only ever appended; a line that was appended survives a crash.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file. Each line is on the disk before `append` returns.
    File(Utf8PathBuf),
    /// Memory that outlives the journal, for virtual time and tests of crashes.
    Memory(Arc<Mutex<String>>),
}

impl Store {
    /// A new store in memory.
    pub fn memory() -> Self {
        Self::Memory(Arc::default())
    }

    /// Everything that was appended.
    pub fn read(&self) -> io::Result<String> {
        match self {
            Self::File(path) if !path.exists() => Ok(String::new()),
            Self::File(path) => fs::read_to_string(path),
            Self::Memory(text) => Ok(text.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// Appends one line.
    pub fn append(&self, line: &str) -> io::Result<()> {
        match self {
            Self::File(path) => append_to_file(path, line),
            Self::Memory(text) => {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(line);
                text.push('\n');
                Ok(())
            }
        }
    }

    /// Puts `text` in the place of everything, at once or not at all.
    pub fn replace(&self, text: &str) -> io::Result<()> {
        match self {
            Self::File(path) => write_whole(path, text),
            Self::Memory(memory) => {
                text.clone_into(&mut memory.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(())
            }
        }
    }

    /// How an error message names the store.
    pub fn name(&self) -> &str {
        match self {
            Self::File(path) => path.as_str(),
            Self::Memory(_) => "the journal in memory",
        }
    }
}

fn append_to_file(path: &Utf8Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    // One write call, so that a crash tears at most the last line.
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

/// Writes a file so that after a crash it is the old one or the new one, never a part.
pub fn write_whole(path: &Utf8Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Utf8Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
