//! Prints a chart as `helm template NAME CHART -f VALUES --set a=b` does.

use std::path::Path;
use std::process::ExitCode;

use tubectl_chart::Chart;
use tubectl_chart::Error;
use tubectl_chart::Options;
use tubectl_chart::Values;
use tubectl_chart::render;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example has nothing but the terminal"
)]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match template(&arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("Error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn template(arguments: &[String]) -> Result<String, String> {
    let [name, path, rest @ ..] = arguments else {
        return Err("usage: template NAME CHART [-n NAMESPACE] [-k KUBE-VERSION] [-f FILE] [--set a=b]".to_owned());
    };
    let shown = |error: &dyn std::error::Error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let chart = if Path::new(path).is_dir() {
        Chart::from_directory(Path::new(path))
    } else {
        std::fs::read(path)
            .map_err(|error| shown(&error))
            .map(|bytes| Chart::from_archive(&bytes))?
    };
    let chart = chart.map_err(|error| shown(&error))?;
    let mut values = Values::default();
    let mut options = Options::new(name, "default");
    for pair in rest.chunks(2) {
        match pair {
            [flag, value] if flag == "-n" => options.release.namespace.clone_from(value),
            [flag, value] if flag == "-k" => options.capabilities.kube_version.clone_from(value),
            [flag, value] if flag == "-f" => {
                let text = std::fs::read_to_string(value).map_err(|error| shown(&error))?;
                values.merge(Values::parse(&text).map_err(|error| shown(&error))?);
            }
            [flag, value] if flag == "--set" => values.set(value).map_err(|error| shown(&error))?,
            _ => return Err(format!("unknown argument `{}`", pair.join(" "))),
        }
    }
    let rendered = render(&chart, &values, &options).map_err(|error| match &error {
        Error::Template(fault) => format!("{error}\n\n{}", fault.explain()),
        _ => shown(&error),
    })?;
    Ok(rendered.text())
}
