//! A world on disk: a snapshot, and a log of what it was asked since.
//!
//! What is written down is what came in: every call that may change something, with its time and with the state of
//! chance. Going through the log again gives the same world, because the core depends on nothing else. An answer leaves
//! only after its call is in the log, so a killed process loses nothing that anybody was told.

use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use fs_err as fs;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::content::Content;
use crate::core::Core;
use crate::core::Origin;
use crate::core::Request;
use crate::core::Settings;
use crate::random::Random;

/// The version of both files. A file of a later one is refused: it may say what this program does not understand.
const FORMAT: u32 = 1;

const SNAPSHOT: &str = "world.json";
const LOG: &str = "world.log";

/// The log's length at which a new snapshot is due: reading this much again takes about a second.
const LONGEST_LOG: u64 = 64 << 20;

/// Why a stored world cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk says no.
    #[error("the local world's files cannot be used")]
    Disk(#[from] io::Error),
    /// A file was written by a later version.
    #[error("`{}` has format {found}, and this program knows {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file does not say what it should.
    #[error("`{}` is damaged at line {line}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// A world that came back from disk.
#[derive(Debug)]
pub struct Restored {
    /// The world as it was.
    pub core: Core,
    /// Where what happens next is written down.
    pub store: Store,
    /// The log ended within a line: the last call before the end was not answered and is not in this world.
    pub torn: bool,
}

/// A world's files.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    log: fs::File,
    written: u64,
    last: u64,
    // A call came in that could not be written down: only a snapshot makes up for it.
    behind: bool,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Snapshot<C> {
    format: u32,
    /// The last entry of the log that is part of it.
    last: u64,
    core: C,
}

/// One line of the log: a call, or that time went on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    number: u64,
    at: Timestamp,
    chance: Random,
    call: Option<Call>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Call {
    origin: Origin,
    method: String,
    uri: String,
    headers: Vec<(String, Content)>,
    body: Content,
}

impl Call {
    fn new(origin: &Origin, request: &Request) -> Self {
        let headers = request.headers().iter();
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            (name.to_string(), Content(Bytes::copy_from_slice(value.as_bytes())))
        };
        Self {
            origin: origin.clone(),
            method: request.method().to_string(),
            uri: request.uri().to_string(),
            headers: headers.map(header).collect(),
            body: Content(request.body().clone()),
        }
    }

    /// The request as it came in; what no client can have sent is damage.
    fn request(&self) -> Result<Request, serde_json::Error> {
        let mut request = http::Request::builder().method(&*self.method).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, &value.0[..]);
        }
        request.body(self.body.0.clone()).map_err(serde::de::Error::custom)
    }
}

impl Store {
    /// Opens the world of a folder, or begins one there.
    pub fn open(folder: &Path, settings: &Settings) -> Result<Restored, StoreError> {
        fs::create_dir_all(folder)?;
        let (mut core, mut last) = read_snapshot(&folder.join(SNAPSHOT), settings)?;
        let (entries, torn) = read_log(&folder.join(LOG))?;
        for (index, entry) in entries.into_iter().enumerate() {
            if entry.number <= last {
                continue;
            }
            last = entry.number;
            let call = match &entry.call {
                Some(call) => Some((
                    &call.origin,
                    call.request().map_err(|source| StoreError::Damaged {
                        path: folder.join(LOG),
                        line: index + 1,
                        source,
                    })?,
                )),
                None => None,
            };
            core.replay(entry.at, entry.chance, call);
        }
        let mut store = Self {
            log: fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(folder.join(LOG))?,
            folder: folder.to_owned(),
            written: 0,
            last,
            behind: false,
        };
        store.save(&core)?;
        Ok(Restored { core, store, torn })
    }

    /// Writes a snapshot in place of the last, and begins the log anew.
    pub fn save(&mut self, core: &Core) -> Result<(), StoreError> {
        let snapshot = Snapshot {
            format: FORMAT,
            last: self.last,
            core,
        };
        let text = serde_json::to_vec(&snapshot).map_err(io::Error::other)?;
        let new = self.folder.join(format!("{SNAPSHOT}.new"));
        let mut file = fs::File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        // Killed before this line, the old snapshot and the whole log are there; after it, the new snapshot knows
        // which entries of the log it holds already.
        fs::rename(&new, self.folder.join(SNAPSHOT))?;
        // Otherwise a power cut may undo the renaming, but not the emptying of the log.
        fs::File::open(&self.folder)?.sync_all()?;
        self.log.set_len(0)?;
        self.written = 0;
        self.behind = false;
        Ok(())
    }

    /// Whether something happened that is not written down; the next snapshot has it.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether the log has become so long that a snapshot is due.
    pub(crate) fn is_long(&self) -> bool {
        self.written >= LONGEST_LOG
    }

    /// Writes down a call, or that time went on.
    pub(crate) fn append(
        &mut self,
        at: Timestamp,
        chance: Random,
        call: Option<(&Origin, &Request)>,
    ) -> io::Result<()> {
        let entry = Entry {
            number: self.last + 1,
            at,
            chance,
            call: call.map(|(origin, request)| Call::new(origin, request)),
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        if let Err(error) = self.log.write_all(&line) {
            self.behind |= entry.call.is_some();
            // Half a line in the middle would spoil everything behind it.
            self.log.set_len(self.written)?;
            return Err(error);
        }
        self.last += 1;
        self.written += line.len() as u64;
        Ok(())
    }
}

fn read_snapshot(path: &Path, settings: &Settings) -> Result<(Core, u64), StoreError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Core::new(settings), 0)),
        text => text?,
    };
    let damaged = |source| StoreError::Damaged {
        path: path.to_owned(),
        line: 1,
        source,
    };
    let head: Head = serde_json::from_slice(&text).map_err(damaged)?;
    if head.format > FORMAT {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: head.format,
        });
    }
    let snapshot: Snapshot<Core> = serde_json::from_slice(&text).map_err(damaged)?;
    Ok((snapshot.core, snapshot.last))
}

/// The entries of a log, and whether it ended within a line.
fn read_log(path: &Path) -> Result<(Vec<Entry>, bool), StoreError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), false)),
        text => text?,
    };
    let mut entries = Vec::new();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let last = index + 1 == lines.len();
        match serde_json::from_slice(line) {
            Ok(entry) if !last => entries.push(entry),
            _ if last => return Ok((entries, !line.is_empty())),
            Ok(_) => {}
            Err(source) => {
                return Err(StoreError::Damaged {
                    path: path.to_owned(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    Ok((entries, false))
}
