package prom

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/barid-mqtt/barid/internal/emqx"
	"github.com/barid-mqtt/barid/internal/host"
	"github.com/barid-mqtt/barid/internal/metrics"
)

// emqx shows EMQX's names.
func (c *collector) emqx(w writer, m *metrics.Metrics, l *metrics.Levels) {
	for _, v := range emqx.Counters(m) {
		if v.Prometheus == "" {
			continue
		}
		w.put(prometheus.CounterValue, v.Prometheus, v.Help, float64(v.Value), nil)
	}
	for _, v := range emqx.Stats(l) {
		w.put(prometheus.GaugeValue, v.Prometheus, v.Help, float64(v.Value), nil)
	}
	total, used := host.Memory()
	busy := 100 * c.cpu.Busy()
	w.gauge("emqx_cluster_nodes_running", "Nodes that run: this one.", 1)
	w.gauge("emqx_cluster_nodes_stopped", "Nodes that do not.", 0)
	w.gauge("emqx_vm_cpu_use", "Percent of the machine's processors that were busy since the last scrape.", busy)
	w.gauge("emqx_vm_cpu_idle", "Percent that were not.", 100-busy)
	w.gauge("emqx_vm_total_memory", "Bytes of memory that the machine has.", float64(total))
	w.gauge("emqx_vm_used_memory", "Bytes of it that are in use.", float64(used))
	w.gauge("emqx_vm_run_queue", "Processes that run or wait to, over a minute.", host.Load()[0])
	w.gauge("emqx_vm_process_messages_in_queues", "Always 0: there are no mailboxes.", 0)
	w.gauge("emqx_vm_max_fds", "Descriptors that the process may have.", float64(c.o.Broker.MaxDescriptors()))
	w.gauge("emqx_vm_processes", "Goroutines.", float64(runtime.NumGoroutine()))
}
