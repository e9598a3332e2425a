//! The definition of the resource, as the API server takes it.
//!
//! kube derives it from the types. What is changed here: an API server takes other formats of numbers for unknown
//! and warns of them; a field that may be left out need not be nullable, as `null` counts as left out unless it is;
//! and defaults that depend on the preset must not be written into every object.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use schemars::Schema;

use super::{ScaledApp, TargetSpec, rules};

/// What `kubectl get` shows of each object, and what of it only with `-o wide`: name, type, path.
const COLUMNS: [(&str, &str, &str); 5] = [
    ("Target", "string", ".spec.target.name"),
    ("Phase", "string", ".status.phase"),
    ("Replicas", "integer", ".status.replicas"),
    ("Since", "date", ".status.since"),
    ("Age", "date", ".metadata.creationTimestamp"),
];
const WIDE_COLUMNS: [(&str, &str, &str); 5] = [
    ("Kind", "string", ".spec.target.kind"),
    ("Service", "string", ".spec.service"),
    ("Mode", "string", ".status.mode"),
    ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
    ("Reason", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
];

/// The definition of `ScaledApp`.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = ScaledApp::crd();
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = Some(columns());
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let root = schema.expect("kube derives a schema");
        restructure(root);
        add_root_rules(root);
        write_target(root);
    }
    crd
}

fn columns() -> Vec<CustomResourceColumnDefinition> {
    let column = |(name, type_, json_path): (&str, &str, &str), priority| CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        priority,
        ..Default::default()
    };
    let always = COLUMNS.into_iter().map(|of| column(of, None));
    always.chain(WIDE_COLUMNS.into_iter().map(|of| column(of, Some(1)))).collect()
}

/// Rules of the object as a whole: kube offers no place for them on the type that it derives.
fn add_root_rules(root: &mut JSONSchemaProps) {
    let mut schema = Schema::default();
    rules::name()(&mut schema);
    let rules = schema.remove("x-kubernetes-validations").expect("a rule was added");
    root.x_kubernetes_validations = serde_json::from_value(rules).expect("rules are well-formed");
}

/// Has what is left out of the target written into the object, where rules and people then see it.
fn write_target(root: &mut JSONSchemaProps) {
    let target = property(property(root, "spec"), "target");
    for (name, default) in
        [("apiVersion", TargetSpec::default_api_version()), ("kind", TargetSpec::default_kind())]
    {
        property(target, name).default = Some(JSON(default.into()));
    }
}

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> &'a mut JSONSchemaProps {
    let properties = schema.properties.as_mut();
    properties.and_then(|properties| properties.get_mut(name)).expect("the types have this field")
}

fn restructure(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.format = schema.format.take().filter(|format| !format.starts_with("uint"));
    if schema.type_.as_deref() == Some("integer") && schema.format.is_none() {
        let fits = schema.maximum.is_some_and(|maximum| maximum <= f64::from(i32::MAX));
        schema.format = Some(if fits { "int32" } else { "int64" }.into());
    }
    schema.default = None;
    // Closed by what it lists, which is what makes an API server drop the rest.
    if schema.properties.is_some() {
        schema.additional_properties = None;
    }
    schema.description = schema.description.take().map(|text| unwrap(&text));
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        restructure(property);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => restructure(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(restructure),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        restructure(values);
    }
}

/// Joins the lines of each paragraph of a comment.
fn unwrap(text: &str) -> String {
    let paragraphs =
        text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
