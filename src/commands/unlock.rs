//! `tubectl unlock`: whose lease a stack has, and taking it off.

use camino::Utf8Path;
use clap::Args;

use crate::commands::args::ConsentArguments;
use crate::commands::args::On;
use crate::commands::context::Home;
use crate::commands::stands;
use crate::commands::stands::Stand;
use crate::error::Failure;
use crate::state::lock;
use crate::state::lock::Lease;
use crate::state::lock::LockError;
use crate::ui::confirm::confirm;
use crate::ui::output::Output;

/// The arguments of `unlock`.
#[derive(Clone, Debug, Args)]
pub struct Unlock {
    /// Stack to unlock
    #[arg(value_name = "STACK", default_value = "tube")]
    pub stack: String,
    /// World it stands in, where it stands in two
    #[arg(long, value_name = "WORLD")]
    pub on: Option<On>,
    /// Whether to ask.
    #[command(flatten)]
    pub consent: ConsentArguments,
}

/// Shows whose lease it is, and takes it off.
pub fn run(arguments: &Unlock, home: &Utf8Path, output: Output) -> Result<(), Failure> {
    let stand = stands::one(home, &arguments.stack, arguments.on)?;
    let path = stand.lease(&Home::Folder(home.to_owned()));
    let nobody = format!("nobody holds `{}` in {}", stand.stack, stand.place());
    let Some(path) = path else {
        output.narrate(&nobody);
        return Ok(());
    };
    match lock::read(&path) {
        Ok(Some(lease)) if lease.is_held() => output.narrate(&told(&stand, &lease)),
        Ok(_) => {
            output.narrate(&nobody);
            return Ok(());
        }
        Err(error @ LockError::Unreadable { .. }) => output.narrate(&error.to_string()),
        Err(error) => return Err(Failure::yours(error)),
    }
    confirm(output, arguments.consent.yes.into(), "Take the lease off?")?;
    lock::unlock(&path).map_err(Failure::yours)?;
    output.narrate("the lease is off; if that process still runs, it stops before its next step");
    Ok(())
}

/// Whose lease it is.
fn told(stand: &Stand, lease: &Lease) -> String {
    let owner = &lease.owner;
    format!(
        "`{}` holds `{}` in {}: process {} on {}, until {}",
        owner.command,
        stand.stack,
        stand.place(),
        owner.process,
        owner.host,
        lease.expires.strftime("%Y-%m-%d %H:%M:%S UTC"),
    )
}
