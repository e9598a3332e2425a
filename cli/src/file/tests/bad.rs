//! Bad files and all that is said about each: `bad/*.yaml` and, beside each, what is printed as `*.out`.
//!
//! After a wanted change of the messages, run the test with `REVEILLE_BLESS=1` and read the difference.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::TempDir;

#[test]
fn each_bad_file_gets_exactly_its_messages() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/file/tests/bad");
    let base = TempDir::new();
    fs::set_permissions(base.write("plain.txt", ""), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(base.write("folder/tool", ""), fs::Permissions::from_mode(0o644)).unwrap();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let text = fs::read_to_string(&path).unwrap();
        let printed = match super::super::parse(&text, Path::new("reveille.yaml"), &base.0) {
            Ok(_) => "ok\n".to_owned(),
            Err(problems) => format!("{problems}\n").replace(base.0.to_str().unwrap(), "BASE"),
        };
        let expected = path.with_extension("out");
        if std::env::var_os("REVEILLE_BLESS").is_some() {
            fs::write(&expected, &printed).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != printed {
            wrong.push(format!("{}:\n{printed}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases >= 29, "{cases}");
}
