import {
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

/** A query and what its lines are called. */
export type Query = readonly [expr: string, legend: string];

export type Panel = {
  readonly title: string;
  /** What a person should read from it. */
  readonly about: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  /** One number instead of lines over time. */
  readonly kind?: 'stat';
};

/** One row of panels of equal width. */
export type Row = readonly Panel[];

const columns = 24;
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills its own variable in.
const prometheus = { type: 'prometheus', uid: '${datasource}' };

/** A dashboard as Grafana stores it. `uid` stays the same for ever: links and Grafana itself know it by that. */
export function dashboard(uid: string, title: string, about: string, rows: readonly Row[]) {
  const builder = new DashboardBuilder(title)
    .uid(uid)
    .description(about)
    .tags(['drover'])
    .readonly()
    .refresh('30s')
    .time({ from: 'now-6h', to: 'now' })
    .withVariable(datasource)
    .withVariable(cluster);
  for (const row of rows)
    for (const panel of row) builder.withPanel(panelOf(panel, Math.floor(columns / row.length)));
  return builder.build();
}

const datasource = new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus');
const cluster = new QueryVariableBuilder('cluster')
  .label('Cluster')
  .datasource(prometheus)
  .query('label_values(drover_scheduler_usd_per_hour, cluster)')
  .multi(true)
  .includeAll(true)
  .allValue('.*');

function panelOf(panel: Panel, width: number) {
  const builder = panel.kind === 'stat' ? new StatBuilder() : new TimeseriesBuilder();
  builder
    .title(panel.title)
    .description(panel.about)
    .unit(panel.unit)
    .datasource(prometheus)
    .span(width)
    .height(panel.kind === 'stat' ? 4 : 8);
  panel.queries.forEach(([expr, legend], index) => {
    builder.withTarget(
      new DataqueryBuilder()
        .refId(String.fromCharCode('A'.charCodeAt(0) + index))
        .expr(expr)
        .legendFormat(legend),
    );
  });
  return builder;
}
