#!/bin/bash
#SBATCH --job-name={{quote .Options.Name}}
#SBATCH --chdir={{quote .Dir}}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --time={{.Minutes}}
{{- if .Tasks}}
#SBATCH --output={{quote (print .Folder "/log/%A_%a.txt")}}
#SBATCH --array={{.Array}}
#SBATCH --signal=B:USR1@{{.Warning}}
{{- else}}
#SBATCH --output={{quote (print .Folder "/log/%j.txt")}}
{{- end}}
{{- with .Partition}}
#SBATCH --partition={{quote .}}
{{- end}}
{{- with .Account}}
#SBATCH --account={{quote .}}
{{- end}}
{{- with .GPUs}}
#SBATCH --gres=gpu:{{.}}
{{- end}}
{{- with .CPUs}}
#SBATCH --cpus-per-task={{.}}
{{- end}}
{{- with .MemoryMB}}
#SBATCH --mem={{.}}M
{{- end}}
{{- range .Lines}}
#SBATCH {{.}}
{{- end}}

{{- if not .Tasks}}

exec {{.Command `-collect`}}
{{- else}}

task=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
units=$(sed -n "${SLURM_ARRAY_TASK_ID}p" {{quote .List}})
echo "== task $task on $(hostname), restart ${SLURM_RESTART_COUNT:-0}: units $units, $(date)"

# SIGTERM lets the program write a checkpoint and end. It comes from scancel and at a preemption, where Slurm decides
# what follows, and at the time limit. Some time before that Slurm sends SIGUSR1, and the task goes on in another turn:
# so it does if the program does not end in time.
cause=
over() {
  cause=limit
  kill -TERM $program 2>/dev/null
  (sleep {{.Grace}}; kill -KILL $program) 2>/dev/null &
}
cancel() {
  if [ "$SECONDS" -ge {{.Late}} ]; then cause=limit; fi
  cause=${cause:-cancelled}
  kill -TERM $program 2>/dev/null
}
trap over USR1
trap cancel TERM
{{.Command `-only "$units"`}} &
program=$!
while :; do
  wait $program
  status=$?
  # A signal ends the waiting, but not the program.
  if [ $status -le 128 ] || ! kill -0 $program 2>/dev/null; then break; fi
done

again() {
  echo "== task $task is queued again: $1"
  scontrol requeue "$task"
  exit $status
}
if [ $status -eq 0 ]; then exit 0; fi
case $cause in
limit) again "its time is over" ;;
cancelled) echo "== task $task was cancelled"; exit $status ;;
esac
if [ $status -gt 128 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt {{.Restart}} ]; then again "it was killed (status $status)"; fi
exit $status
{{- end}}
