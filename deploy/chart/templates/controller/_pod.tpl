{{/* What the controller and the job that gives all apps back have in common. */}}
{{- define "reveille.controllerArgs" -}}
{{- if gt (int .Values.appPorts.from) (int .Values.appPorts.to) }}{{ fail "appPorts.from is above appPorts.to" }}{{ end -}}
{{- if gt (sub (int .Values.appPorts.to) (int .Values.appPorts.from)) 9999 }}{{ fail "appPorts: at most 10000 ports, from first to last" }}{{ end -}}
- controller
- --namespace=$(POD_NAMESPACE)
- --identity=$(POD_NAME)
- --lease-name={{ include "reveille.leaseName" . }}
- --activator-selector=app.kubernetes.io/name={{ include "reveille.name" . }},app.kubernetes.io/instance={{ .Release.Name }},app.kubernetes.io/component=activator
- --control-port=9443
- --control-ca=/etc/reveille/control/ca.crt
- --control-token=/var/run/secrets/reveille.dev/token
- --ports-config-map={{ include "reveille.portsConfigMap" . }}
- --port-range={{ int .Values.appPorts.from }}-{{ int .Values.appPorts.to }}
- --sleep-delay={{ .Values.controller.sleepDelay }}
- --admin=0.0.0.0:9090
{{- include "reveille.watchArgs" . }}
- --log-format={{ .Values.log.format }}
{{- range .Values.controller.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "reveille.controllerEnv" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- {name: RUST_LOG, value: {{ .Values.log.level | quote }}}
{{- end }}

{{- define "reveille.controllerMounts" -}}
- {name: control, mountPath: /etc/reveille/control, readOnly: true}
- {name: token, mountPath: /var/run/secrets/reveille.dev, readOnly: true}
{{- end }}

{{- define "reveille.controllerVolumes" -}}
# The authority alone: the key is the activators'.
- name: control
  secret:
    secretName: {{ include "reveille.controlSecret" . }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.crt}
# What it shows the activators: of no use to anybody else. The kubelet renews it.
- name: token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {path: token, audience: reveille-activator, expirationSeconds: 3600}
{{- end }}
