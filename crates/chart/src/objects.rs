//! Helm's objects in templates: `.Files` and `.Capabilities`.

use std::any::Any;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tubectl_yaml::Value as Yaml;

use crate::funcs::base64;
use crate::load::File;
use crate::pattern::glob_matches;
use crate::semver::Version;
use crate::value::List;
use crate::value::Object;
use crate::value::Value;

/// `.Files`: the files of a chart that are no templates.
pub(crate) struct Files {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Files {
    pub(crate) fn new(files: &[File]) -> Self {
        Files {
            files: files
                .iter()
                .map(|file| (file.name.clone(), Arc::clone(&file.data)))
                .collect(),
        }
    }

    fn text(&self, name: &str) -> String {
        self.files
            .get(name)
            .map_or_else(String::new, |data| String::from_utf8_lossy(data).into_owned())
    }

    /// The files by base name, as the data of a `ConfigMap` or a `Secret`.
    fn data(&self, encode: impl Fn(&[u8]) -> String) -> String {
        let entries = self.files.iter().map(|(name, data)| {
            let base = name.rsplit('/').next().unwrap_or(name);
            (base.to_owned(), Yaml::String(encode(data)))
        });
        let mut text = tubectl_yaml::emit(&Yaml::Map(entries.collect()));
        text.pop();
        text
    }
}

impl Object for Files {
    fn type_name(&self) -> &'static str {
        "engine.files"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn method(&self, name: &str) -> Option<usize> {
        match name {
            "Get" | "GetBytes" | "Glob" | "Lines" => Some(1),
            "AsConfig" | "AsSecrets" => Some(0),
            _ => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let path = arguments.first().and_then(Value::as_str).unwrap_or_default();
        Ok(match name {
            "Get" => Value::string(self.files.get(path).map_or_else(Vec::new, |data| data.to_vec())),
            "GetBytes" => Value::Bytes(
                self.files
                    .get(path)
                    .map_or_else(|| Rc::from([]), |data| Rc::from(&**data)),
            ),
            "Glob" => {
                let matching = self.files.iter().filter(|(name, _)| glob_matches(path, name));
                Value::object(Files {
                    files: matching.map(|(name, data)| (name.clone(), Arc::clone(data))).collect(),
                })
            }
            "Lines" => {
                let text = self.text(path);
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Value::List(if text.is_empty() {
                    List::strings([""; 0])
                } else {
                    List::strings(text.split('\n'))
                })
            }
            "AsConfig" => self.data(|data| String::from_utf8_lossy(data).into_owned()).into(),
            _ => self.data(base64).into(),
        })
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(Value::Bytes(
            self.files
                .get(name)
                .map_or_else(|| Rc::from([]), |data| Rc::from(&**data)),
        ))
    }

    fn show(&self) -> String {
        let entries: Vec<String> = self
            .files
            .iter()
            .map(|(name, data)| format!("{name}:{}", crate::format::text(&Value::Bytes(Rc::from(&**data)))))
            .collect();
        format!("map[{}]", entries.join(" "))
    }

    fn plain(&self) -> Value {
        let entries = self
            .files
            .iter()
            .map(|(name, data)| (name.as_str().into(), Value::from(base64(data))));
        Value::map(entries.collect())
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        let entries = self.files.iter();
        Some(
            entries
                .map(|(name, data)| (name.as_str().into(), Value::Bytes(Rc::from(&**data))))
                .collect(),
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What the cluster can do, as far as templates may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The version of the API server, such as `v1.33.4-eks-abc123`.
    pub kube_version: String,
    /// The APIs it serves: `apps/v1`, and `apps/v1/Deployment` for each kind.
    pub api_versions: Vec<String>,
}

/// The groups that Kubernetes' own client knows, which is what Helm assumes without a cluster.
const CLIENT_APIS: &str = "v1 admissionregistration.k8s.io/v1 admissionregistration.k8s.io/v1alpha1 \
    admissionregistration.k8s.io/v1beta1 internal.apiserver.k8s.io/v1alpha1 apps/v1 apps/v1beta1 apps/v1beta2 \
    authentication.k8s.io/v1 authentication.k8s.io/v1alpha1 authentication.k8s.io/v1beta1 authorization.k8s.io/v1 \
    authorization.k8s.io/v1beta1 autoscaling/v1 autoscaling/v2 batch/v1 batch/v1beta1 certificates.k8s.io/v1 \
    certificates.k8s.io/v1beta1 certificates.k8s.io/v1alpha1 coordination.k8s.io/v1alpha2 \
    coordination.k8s.io/v1beta1 coordination.k8s.io/v1 discovery.k8s.io/v1 discovery.k8s.io/v1beta1 \
    events.k8s.io/v1 events.k8s.io/v1beta1 extensions/v1beta1 flowcontrol.apiserver.k8s.io/v1 \
    flowcontrol.apiserver.k8s.io/v1beta1 flowcontrol.apiserver.k8s.io/v1beta2 flowcontrol.apiserver.k8s.io/v1beta3 \
    networking.k8s.io/v1 networking.k8s.io/v1beta1 node.k8s.io/v1 node.k8s.io/v1alpha1 node.k8s.io/v1beta1 policy/v1 \
    policy/v1beta1 rbac.authorization.k8s.io/v1 rbac.authorization.k8s.io/v1beta1 \
    rbac.authorization.k8s.io/v1alpha1 resource.k8s.io/v1 resource.k8s.io/v1beta2 resource.k8s.io/v1beta1 \
    resource.k8s.io/v1alpha3 scheduling.k8s.io/v1alpha2 scheduling.k8s.io/v1beta1 scheduling.k8s.io/v1 \
    storage.k8s.io/v1beta1 storage.k8s.io/v1 storage.k8s.io/v1alpha1 storagemigration.k8s.io/v1beta1 \
    apiextensions.k8s.io/v1beta1 apiextensions.k8s.io/v1";

impl Default for Capabilities {
    /// What Helm 3.21.4 assumes without a cluster.
    fn default() -> Self {
        Capabilities {
            kube_version: "v1.36.0".to_owned(),
            api_versions: CLIENT_APIS.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

/// `.Capabilities`.
pub(crate) struct CapabilitiesObject {
    pub(crate) capabilities: Capabilities,
}

impl Object for CapabilitiesObject {
    fn type_name(&self) -> &'static str {
        "*chartutil.Capabilities"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "KubeVersion" => Value::object(KubeVersion::new(&self.capabilities.kube_version)),
            "APIVersions" => Value::object(ApiVersions {
                versions: self.capabilities.api_versions.clone(),
            }),
            "HelmVersion" => Value::object(HelmVersion),
            _ => return None,
        })
    }

    fn show(&self) -> String {
        let versions = self.capabilities.api_versions.join(" ");
        format!("&{{{} [{versions}] {{}}}}", self.capabilities.kube_version)
    }

    fn plain(&self) -> Value {
        let fields = ["KubeVersion", "APIVersions", "HelmVersion"];
        let entries = fields
            .into_iter()
            .filter_map(|name| Some((Rc::from(name), self.field(name)?)));
        Value::map(entries.collect())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct KubeVersion {
    version: String,
    major: String,
    minor: String,
}

impl KubeVersion {
    fn new(text: &str) -> Self {
        match Version::parse(text) {
            Ok(version) => KubeVersion {
                major: version.major.to_string(),
                minor: version.minor.to_string(),
                version: format!("v{version}"),
            },
            Err(_) => KubeVersion {
                version: text.to_owned(),
                major: String::new(),
                minor: String::new(),
            },
        }
    }
}

impl Object for KubeVersion {
    fn type_name(&self) -> &'static str {
        "chartutil.KubeVersion"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Version" => self.version.as_str().into(),
            "Major" => self.major.as_str().into(),
            "Minor" => self.minor.as_str().into(),
            _ => return None,
        })
    }

    fn method(&self, name: &str) -> Option<usize> {
        matches!(name, "String" | "GitVersion").then_some(0)
    }

    fn call(&self, _name: &str, _arguments: &[Value]) -> Result<Value, String> {
        Ok(self.version.as_str().into())
    }

    fn show(&self) -> String {
        self.version.clone()
    }

    fn plain(&self) -> Value {
        let fields = ["Version", "Major", "Minor"];
        Value::map(
            fields
                .into_iter()
                .filter_map(|name| Some((Rc::from(name), self.field(name)?)))
                .collect(),
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct ApiVersions {
    versions: Vec<String>,
}

impl Object for ApiVersions {
    fn type_name(&self) -> &'static str {
        "chartutil.VersionSet"
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn method(&self, name: &str) -> Option<usize> {
        (name == "Has").then_some(1)
    }

    fn call(&self, _name: &str, arguments: &[Value]) -> Result<Value, String> {
        let wanted = arguments.first().and_then(Value::as_str).unwrap_or_default();
        Ok(Value::Bool(self.versions.iter().any(|version| version == wanted)))
    }

    fn show(&self) -> String {
        format!("[{}]", self.versions.join(" "))
    }

    fn plain(&self) -> Value {
        Value::List(List::strings(&self.versions))
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        let entries = (0..).zip(&self.versions);
        Some(
            entries
                .map(|(position, version)| (Value::Int(position), version.as_str().into()))
                .collect(),
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Charts ask which Helm renders them: the one whose output is reproduced.
struct HelmVersion;

impl Object for HelmVersion {
    fn type_name(&self) -> &'static str {
        "version.BuildInfo"
    }

    fn field(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Version" => "v3.21.4".into(),
            "GitCommit" | "GitTreeState" => "".into(),
            "GoVersion" => "go1.26.8".into(),
            _ => return None,
        })
    }

    fn show(&self) -> String {
        "{v3.21.4   go1.26.8}".to_owned()
    }

    fn plain(&self) -> Value {
        let entries = [("version", "v3.21.4"), ("go_version", "go1.26.8")];
        Value::map(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
