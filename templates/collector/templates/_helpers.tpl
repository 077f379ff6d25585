{{/* The labels by which the Service and the Deployment find the pods. */}}
{{- define "collector.selector" -}}
app: {{ .Release.Name }}
{{- end -}}
