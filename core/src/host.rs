//! The hosts by which the gateway knows an app.

/// A host as requests are compared with it: in lower case, without a final dot.
///
/// # Errors
/// A sentence that says what to write instead.
pub fn normalize(written: &str) -> Result<String, String> {
    if written.contains("://") || written.contains('/') {
        return Err("write the host alone, without scheme and path".to_owned());
    }
    if written.contains('*') {
        return Err("wildcards are not supported; list each host".to_owned());
    }
    if written.contains(':') {
        return Err("write it without a port; the gateway's port is for all hosts".to_owned());
    }
    if !written.is_ascii() {
        return Err("write it in its ASCII form (xn--…)".to_owned());
    }
    let host = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    if host.is_empty() || host.len() > 253 {
        return Err("a host has 1 to 253 characters".to_owned());
    }
    for label in host.split('.') {
        let valid = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if label.is_empty() || label.len() > 63 || !valid || label.starts_with('-') || label.ends_with('-') {
            return Err("write labels of a-z, 0-9, '-' and '_' with dots between: web.localhost".to_owned());
        }
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_in_lower_case_without_a_final_dot() {
        for (written, expected) in
            [("web.localhost", "web.localhost"), ("Web.Example.ORG.", "web.example.org"), ("a_b", "a_b")]
        {
            assert_eq!(normalize(written).as_deref(), Ok(expected));
        }
        let long = format!("{}.org", "a.".repeat(125) + "a");
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "http://a",
            "a/b",
            "a:80",
            "*.a",
            "ä",
            "a b",
            &long,
            &"x".repeat(64),
        ] {
            assert!(normalize(bad).is_err(), "{bad}");
        }
    }
}
