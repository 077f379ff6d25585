//! The kinds that the actors read and write, by name.

use crate::kube::store::GroupKind;

pub(crate) const NAMESPACE: GroupKind = GroupKind::of("Namespace");
pub(crate) const NODE: GroupKind = GroupKind::of("Node");
pub(crate) const POD: GroupKind = GroupKind::of("Pod");
pub(crate) const SERVICE: GroupKind = GroupKind::of("Service");
pub(crate) const ENDPOINTS: GroupKind = GroupKind::of("Endpoints");
pub(crate) const CONFIG_MAP: GroupKind = GroupKind::of("ConfigMap");
pub(crate) const SECRET: GroupKind = GroupKind::of("Secret");
pub(crate) const SERVICE_ACCOUNT: GroupKind = GroupKind::of("ServiceAccount");
pub(crate) const EVENT: GroupKind = GroupKind::of("Event");
pub(crate) const PERSISTENT_VOLUME: GroupKind = GroupKind::of("PersistentVolume");
pub(crate) const PERSISTENT_VOLUME_CLAIM: GroupKind = GroupKind::of("PersistentVolumeClaim");
pub(crate) const ENDPOINT_SLICE: GroupKind = GroupKind::of("EndpointSlice.discovery.k8s.io");
pub(crate) const DEPLOYMENT: GroupKind = GroupKind::of("Deployment.apps");
pub(crate) const REPLICA_SET: GroupKind = GroupKind::of("ReplicaSet.apps");
pub(crate) const STATEFUL_SET: GroupKind = GroupKind::of("StatefulSet.apps");
pub(crate) const DAEMON_SET: GroupKind = GroupKind::of("DaemonSet.apps");
pub(crate) const JOB: GroupKind = GroupKind::of("Job.batch");
pub(crate) const DISRUPTION_BUDGET: GroupKind = GroupKind::of("PodDisruptionBudget.policy");
pub(crate) const STORAGE_CLASS: GroupKind = GroupKind::of("StorageClass.storage.k8s.io");
pub(crate) const INGRESS: GroupKind = GroupKind::of("Ingress.networking.k8s.io");
pub(crate) const LEASE: GroupKind = GroupKind::of("Lease.coordination.k8s.io");
pub(crate) const API_SERVICE: GroupKind = GroupKind::of("APIService.apiregistration.k8s.io");
pub(crate) const CUSTOM_RESOURCE: GroupKind = GroupKind::of("CustomResourceDefinition.apiextensions.k8s.io");
pub(crate) const CLUSTER_ROLE: GroupKind = GroupKind::of("ClusterRole.rbac.authorization.k8s.io");
pub(crate) const CLUSTER_ROLE_BINDING: GroupKind = GroupKind::of("ClusterRoleBinding.rbac.authorization.k8s.io");
pub(crate) const ROLE: GroupKind = GroupKind::of("Role.rbac.authorization.k8s.io");
pub(crate) const ROLE_BINDING: GroupKind = GroupKind::of("RoleBinding.rbac.authorization.k8s.io");
pub(crate) const AUTOSCALER: GroupKind = GroupKind::of("HorizontalPodAutoscaler.autoscaling");
pub(crate) const SCALED_OBJECT: GroupKind = GroupKind::of("ScaledObject.keda.sh");
pub(crate) const NODE_CLASS: GroupKind = GroupKind::of("EC2NodeClass.karpenter.k8s.aws");
pub(crate) const NODE_POOL: GroupKind = GroupKind::of("NodePool.karpenter.sh");
pub(crate) const NODE_CLAIM: GroupKind = GroupKind::of("NodeClaim.karpenter.sh");
