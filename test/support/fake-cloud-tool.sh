#!/bin/sh
# A fake of pulumi, kubectl, argocd, crane, npm and the clouds' command lines: called by the name of one of them, it writes
# down what it was called with, and remembers in FAKE_STATE what a real one would have made.
PATH=/usr/bin:/bin
name=${0##*/}
line="$name $*"
printf '%s\n' "$line" >> "$FAKE_STATE/calls"
if [ -n "$FAKE_FAIL" ]; then
  case "$line" in *"$FAKE_FAIL"*) echo "fake failure" >&2; exit 7 ;; esac
fi
is() { test -e "$FAKE_STATE/$1"; }
mark() { : > "$FAKE_STATE/$1"; }
safe() { printf '%s' "$1" | tr '/:@' '___'; }

case "$line" in
  "pulumi version") echo v3.200.0 ;;
  "pulumi whoami") echo somebody ;;
  "pulumi stack select "*) is stack || { echo "no stack" >&2; exit 1; } ;;
  "pulumi stack init "*) mark stack ;;
  "pulumi preview --expect-no-changes "*) is up ;;
  "pulumi preview "*) echo "+ 60 to create" ;;
  "pulumi up "*) mark up ;;
  "pulumi config set "*) rm -f "$FAKE_STATE/up" ;;
  "pulumi destroy "*) rm -f "$FAKE_STATE/up" ;;
  "pulumi stack output "*) is up && cat "$FAKE_STATE/output-$3.json" ;;

  "kubectl version --client") echo "Client Version: v1.32.4" ;;
  *" get --raw /readyz") is up ;;
  *" get namespace "*) is "namespaces-$(safe "$2")" ;;
  *" -k argocd/cluster") mark "namespaces-$(safe "$2")" ;;
  *" get secret cluster-"*) is up ;;
  *" diff -f "*) is root ;;
  *" apply -f argocd/root/"*)
    mark root
    # What cert-manager makes, once Argo CD has installed it.
    cp "$FAKE_STATE/nats-ca.json" "$FAKE_STATE/made-$(safe "$2")-nats-nats-ca" ;;
  *" wait --for=create secret/nats-ca "*) is "made-$(safe "$2")-nats-nats-ca" ;;
  *" apply --server-side "*" -f -")
    text=$(cat)
    key=$(printf '%s' "$text" | sed 's/.*"metadata":{"name":"\([^"]*\)","namespace":"\([^"]*\)".*/\2-\1/')
    printf '%s' "$text" > "$FAKE_STATE/made-$(safe "$2")-$key" ;;
  *" get secret "*" -o json" | *" get configmap "*" -o json")
    file="$FAKE_STATE/made-$(safe "$2")-$4-$7"
    test -e "$file" || { echo "not found" >&2; exit 1; }
    cat "$file" ;;
  *" port-forward "*) echo "Forwarding from 127.0.0.1:14222 -> 4222"; exec sleep 60 ;;

  "argocd version "*) echo "argocd: v3.0.1+abcdef" ;;
  "crane version") echo 0.20.2 ;;
  "crane digest "*) is "image-$(safe "$2")" ;;
  "crane copy "*) mark "image-$(safe "${3%:*}@${2#*@}")" ;;
  "crane auth login "*) cat > /dev/null ;;
  "npm ls "*) is packages ;;
  "npm ci "*) mark packages ;;

  "aws --version") echo "aws-cli/2.17.0 Python/3.11" ;;
  "aws sts "*) echo 123456789012 ;;
  "aws ecr "*) echo fake-password-of-ecr ;;
  "gcloud version") echo "Google Cloud SDK 500.0.0" ;;
  "gcloud projects describe "*) echo 998877665544 ;;
  "gcloud auth print-access-token") echo fake-password-of-gcp ;;
  "gke-gcloud-auth-plugin --version") echo "Kubernetes v1.30.0" ;;
  "az version") echo '{ "azure-cli": "2.60.0" }' ;;
  "az account show "*) echo "$4" ;;
  "az acr login "*) echo fake-password-of-acr ;;
  "kubelogin --version") echo v0.1.3 ;;
esac
