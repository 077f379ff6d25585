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
            Self::File(path) => text_of(fs::read(path)?),
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

/// What was appended, as text. The last line may be torn, in the middle of a letter, too.
fn text_of(mut bytes: Vec<u8>) -> io::Result<String> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let last = bytes.split_off(whole);
    let mut text = String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    text.push_str(&String::from_utf8_lossy(&last));
    Ok(text)
}

fn append_to_file(path: &Utf8Path, line: &str) -> io::Result<()> {
    let is_new = !path.exists();
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    // One write call, so that a crash tears at most the last line.
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()?;
    if is_new { keep_names(folder) } else { Ok(()) }
}

/// Writes a file so that after a crash it is the old one or the new one, never a part.
pub fn write_whole(path: &Utf8Path, text: &str) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    keep_names(folder)
}

fn folder_of(path: &Utf8Path) -> &Utf8Path {
    match path.parent() {
        Some(folder) if folder != "" => folder,
        _ => Utf8Path::new("."),
    }
}

/// Brings the names in a folder to the disk: a file that is on it is lost if its name is not.
fn keep_names(folder: &Utf8Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_line_may_be_torn_within_a_letter_and_no_other_line_may() {
        let torn = text_of("{\"name\":\"a\"}\n{\"name\":\"ä".as_bytes()[..23].to_vec()).unwrap();
        assert_eq!(torn, "{\"name\":\"a\"}\n{\"name\":\"\u{fffd}");
        let error = text_of(b"\xc3\n{}\n".to_vec()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
