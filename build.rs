//! Lists the shipped stacks and templates, so that they are part of the binary: a folder cannot be embedded by itself.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo tells build scripts where to write in the environment"
    )]
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    for folder in ["stacks", "templates"] {
        println!("cargo::rerun-if-changed={folder}");
        fs::write(Path::new(&out).join(format!("{folder}.rs")), table(folder)?)?;
    }
    Ok(())
}

/// The files under a folder, as a table of Rust: path within the folder, and content.
fn table(folder: &str) -> io::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&root).expect("every file was found under the folder");
        let name = name.to_string_lossy().replace('\\', "/");
        let path = file.to_string_lossy();
        writeln!(table, "    ({name:?}, include_bytes!({path:?}).as_slice()),").expect("a string takes every line");
    }
    table.push_str("]\n");
    Ok(table)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
