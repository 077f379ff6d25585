{{- define "lbc.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "lbc.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lbc.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "lbc.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lbc.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "lbc.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* One webhook: what it is called, where it is served, what it admits. */}}
{{- define "lbc.webhook" -}}
name: {{ .name }}
admissionReviewVersions: [v1beta1]
clientConfig:
  service:
    name: aws-load-balancer-webhook-service
    namespace: {{ .namespace }}
    path: {{ .path }}
failurePolicy: Fail
sideEffects: None
rules:
  - apiGroups: [{{ .group | quote }}]
    apiVersions: [{{ .version }}]
    operations: {{ .operations }}
    resources: [{{ .resource }}]
{{- end -}}
