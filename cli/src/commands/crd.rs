//! `reveille crd`: prints the definition of `ScaledApp` for `kubectl apply`.

use crate::{
    args::OutputFormat,
    exit::CliError,
    output::{Console, yaml::to_yaml},
};

/// Prints the definition: as YAML, or as JSON if that was asked for.
///
/// # Errors
/// Those of the output.
pub fn crd(output: OutputFormat, console: &mut Console) -> Result<(), CliError> {
    let crd = serde_json::to_value(reveille_core::resource::crd()).expect("a definition is plain JSON");
    let text = match output {
        OutputFormat::Table => to_yaml(&crd),
        OutputFormat::Json => format!("{crd:#}"),
    };
    Ok(console.line(text.trim_end())?)
}

#[cfg(test)]
#[path = "crd_tests.rs"]
mod tests;
