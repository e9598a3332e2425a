//! What the chart makes is taken by a real API server, whatever the values, and wrong values are refused.

use reveille_tests_cluster::{Context, places::repository, reveille::chart};

use super::template;
use crate::resource;

/// All that can be switched on and has no definition of its own in a plain cluster.
const EVERYTHING: &str = r#"
nameOverride: wake
commonLabels: {team: platform}
image: {tag: v9, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
imagePullSecrets: [{name: registry}]
runAsUser: null
log: {level: "debug,h2=error", format: pretty}
appPorts: {from: 21000, to: 21999}
activator:
  replicas: 3
  workers: 4
  trustedProxies: [10.0.0.0/8, "2001:db8::/32"]
  accessLog: true
  gateway: {service: {type: LoadBalancer, port: 8080, appProtocol: kubernetes.io/h2c, annotations: {a/b: c}}}
  podDisruptionBudget: {maxUnavailable: 25%}
  resources: {limits: {cpu: 2, memory: 2Gi}}
  serviceAccount: {name: own-activator, annotations: {a/b: c}}
  priorityClassName: system-cluster-critical
  nodeSelector: {pool: system}
  tolerations: [{key: pool, operator: Exists}]
  affinity: {podAntiAffinity: {}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}]
  podAnnotations: {a/b: c}
  podLabels: {a: b}
  extraArgs: [--one, "two: three"]
controller:
  replicas: 1
  sleepDelay: 10s
  serviceAccount: {annotations: {a/b: c}}
  extraArgs: [--four]
rbac:
  scalableResources: [{apiGroups: [argoproj.io], resources: [rollouts]}]
  restrictedEndpointSlices: true
networkPolicy: {adminFrom: [{namespaceSelector: {matchLabels: {name: monitoring}}}], scaleApiFrom: [{podSelector: {}}]}
scaleApi: {keys: {existingSecret: mine}, hosts: [scale.example], service: {type: NodePort, port: 8080, annotations: {a/b: c}}}
controlTls: {existingSecret: own-control}
"#;

/// Everything that can be left out.
const LITTLE: &str = r#"
fullnameOverride: small
activator: {podDisruptionBudget: {enabled: false}, serviceAccount: {create: false, name: one}}
controller: {serviceAccount: {create: false, name: two}}
rbac: {create: false}
admissionPolicies: {enabled: false}
networkPolicy: {enabled: false}
giveBack: {enabled: false}
"#;

/// What needs definitions of others, and can only be looked at.
const OF_OTHERS: &str = "
controlTls: {certManager: {enabled: true}}
podMonitor: {enabled: true, labels: {release: prometheus}}
";

/// No warning, no unknown field, no object that is refused.
pub(crate) async fn every_one_is_taken(t: Context) {
    let namespace = t.namespace().await;
    let lint = t.cluster.helm(&["lint", "--strict", &chart()]).await;
    lint.ok();
    let some = format!("rbac: {{namespaces: [{}, default]}}", namespace.name());
    let mut objects = 0;
    for (name, values) in [("defaults", ""), ("everything", EVERYTHING), ("little", LITTLE), ("some", &some)]
    {
        let manifests = render(&t, namespace.name(), name, values).await;
        let arguments = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
        let applied = t.cluster.kubectl(&arguments, &manifests).await;
        assert!(applied.status.success() && applied.stderr.is_empty(), "{name}: {applied:?}\n{manifests}");
        objects += applied.stdout.lines().count();
    }
    t.figure(&format!("{objects} objects of the chart taken"));

    let manifests = render(&t, namespace.name(), "of-others", OF_OTHERS).await;
    assert!(!manifests.contains("kind: Secret"), "cert-manager makes it: {manifests}");
    for expected in
        ["kind: PodMonitor", "isCA: true", "dnsNames: [reveille-activator]", "usages: [server auth]"]
    {
        assert!(manifests.contains(expected), "{expected}: {manifests}");
    }
    // The API is served once it is said who may call it.
    let manifests = render(&t, namespace.name(), "quiet", "").await;
    assert!(!manifests.contains("name: scale-api") && !manifests.contains("--api="), "{manifests}");
    for (values, expected) in [
        (
            "scaleApi: {keys: {existingSecret: mine, key: lines}, hosts: [scale.example]}",
            "--keys=/etc/reveille/keys/lines",
        ),
        ("scaleApi: {allowAnonymous: true}", "--allow-anonymous"),
    ] {
        let manifests = render(&t, namespace.name(), "api", values).await;
        for expected in [expected, "name: scale-api", "reveille.dev/leader: \"true\"", "containerPort: 8080"]
        {
            assert!(manifests.contains(expected), "{expected}: {manifests}");
        }
    }
    let given = "controlTls: {certManager: {enabled: true, issuerRef: {name: own, kind: ClusterIssuer}}}";
    let manifests = render(&t, namespace.name(), "given", given).await;
    assert!(!manifests.contains("kind: Issuer\nmetadata"), "one was given: {manifests}");
    assert!(manifests.contains("name: own"), "{manifests}");
}

async fn render(t: &Context, namespace: &str, name: &str, values: &str) -> String {
    let file = t.cluster.places().state(&format!("chart-{name}.yaml"));
    std::fs::write(&file, values).unwrap();
    let values = file.display().to_string();
    template(&t.cluster, namespace, &format!("chart-{name}"), &["--values", &values]).await.ok()
}

/// What `deploy/samples` has can be applied as it is.
pub(crate) async fn samples_are_taken(t: Context) {
    resource::define(&t).await;
    let namespace = t.namespace().await;
    let mut files = 0;
    for file in std::fs::read_dir(repository().join("deploy/samples")).unwrap() {
        let file = file.unwrap().path().display().to_string();
        let applied =
            namespace.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", &file]).await;
        assert!(applied.status.success() && applied.stderr.is_empty(), "{file}: {applied:?}");
        files += 1;
    }
    assert!(files >= 3, "the samples are there");
}

/// Each is refused before anything is made, and the message names it.
pub(crate) async fn wrong_values_are_refused(t: Context) {
    let cases = [
        ("activator.replica=3", "additional properties 'replica' not allowed"),
        ("activator.replicas=0", "/activator/replicas"),
        ("activator.replicas=two", "/activator/replicas"),
        ("activator.drainSeconds=15m", "/activator/drainSeconds"),
        ("activator.hold.maxBytes=512MB", "/activator/hold/maxBytes"),
        ("activator.trustedProxies={here}", "/activator/trustedProxies/0"),
        ("controller.sleepDelay=5", "/controller/sleepDelay"),
        ("image.pullPolicy=never", "/image/pullPolicy"),
        ("runAsUser=0", "/runAsUser"),
        ("log.format=text", "/log/format"),
        ("appPorts.to=40000", "/appPorts/to"),
        ("appPorts.from=30000", "appPorts.from is above appPorts.to"),
        ("rbac.namespaces={Team}", "/rbac/namespaces/0"),
        ("rbac.scalableResources[0].resources={rollouts}", "missing property 'apiGroups'"),
        ("activator.serviceAccount.create=false", "activator.serviceAccount.name: name one"),
        ("scaleApi.hosts={https://b.example}", "/scaleApi/hosts/0"),
        (
            "scaleApi.allowAnonymous=true,scaleApi.keys.existingSecret=x",
            "scaleApi: either keys.existingSecret or allowAnonymous",
        ),
    ];
    for (value, expected) in cases {
        let refused = template(&t.cluster, "default", "wrong", &["--set", value]).await;
        assert!(!refused.status.success(), "{value} is taken");
        assert!(refused.stderr.contains(expected), "{value}: {}", refused.stderr);
    }
}
