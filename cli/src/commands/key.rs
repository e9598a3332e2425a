//! `reveille key new`: makes a key and prints it, with the line by which it is known again.

use reveille_controller::keys::{self, Right};
use serde_json::json;

use crate::{
    args::{NewKeyArgs, OutputFormat},
    exit::{CliError, Exit},
    output::Console,
};

/// Runs the command.
///
/// # Errors
/// If the system has no random numbers, and those of the output.
pub fn new(args: NewKeyArgs, output: OutputFormat, console: &mut Console) -> Result<(), CliError> {
    let right = if args.read { Right::Read } else { Right::Scale };
    let made =
        keys::new(&args.name, args.namespace, right).map_err(|why| CliError::new(Exit::Failed, why))?;
    let (key, line) = (made.told, made.kept.to_string());
    match output {
        OutputFormat::Json => console.line(&format!("{:#}", json!({"key": key, "line": line})))?,
        OutputFormat::Table => {
            for text in
                ["The key, which is shown this once:", &key, "", "Its line for the file of keys:", &line]
            {
                console.line(text)?;
            }
        }
    }
    Ok(())
}
