// Imports a file as a program with a generated client would; prints what it saw as JSON.
// tests/e2e/test_generators.py puts it next to the client that @hey-api/openapi-ts generates.
import {
  createContactImport,
  createContactImportUpload,
  downloadContactImportFailedRows,
  getContactImport,
  listContactImportFailedRows,
  listContactImports,
} from "./client";
import { client } from "./client/client.gen";
import { readFileSync } from "node:fs";

const POLL_MILLISECONDS = 200;

const projectId = process.env.PROJECT_ID!;
const columnMap = { email: "Email", name: "Name" };
const fileAt = (path: string) => new File([readFileSync(path)], "contacts.csv", { type: "text/csv" });
const file = fileAt(process.env.FILE!);

const ended = async (id: string) => {
  for (;;) {
    const { data } = await getContactImport({ path: { id }, throwOnError: true });
    if (data.data.completed_at !== null) return data.data;
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
};

const main = async () => {
  const refused = await listContactImports({ query: { projectId } });
  client.setConfig({ auth: `Bearer ${process.env.API_KEY}` });

  const body = { projectId, columnMap: JSON.stringify(columnMap), file, tags: "posted" };
  const created = await createContactImport({ body, throwOnError: true });
  const posted = await ended(created.data.data.id);

  const path = { id: posted.id };
  const first = await listContactImportFailedRows({ path, query: { limit: 1 }, throwOnError: true });
  const rows = first.data.data.data;
  for (let cursor = first.data.data.next_cursor; cursor !== null; ) {
    const page = await listContactImportFailedRows({ path, query: { cursor }, throwOnError: true });
    rows.push(...page.data.data.data);
    cursor = page.data.data.next_cursor;
  }
  const report = await downloadContactImportFailedRows({ path, throwOnError: true });

  const badBody = { projectId, columnMap: JSON.stringify(columnMap), file: fileAt(process.env.BAD_FILE!) };
  const badCreated = await createContactImport({ body: badBody, throwOnError: true });
  const bad = await ended(badCreated.data.data.id);
  const redirected = await downloadContactImportFailedRows({ path: { id: bad.id }, throwOnError: true });

  const asked = await createContactImportUpload({
    body: { projectId, columnMap, tags: ["uploaded"], onConflict: "skip" },
    throwOnError: true,
  });
  const { upload } = asked.data.data;
  const form = new FormData();
  for (const [name, value] of Object.entries(upload.fields)) form.append(name, value);
  form.append("file", file);
  const stored = await fetch(upload.url, { method: "POST", body: form });
  const uploaded = await ended(asked.data.data.id);

  const list = await listContactImports({
    query: { projectId, status: "completed" },
    throwOnError: true,
  });
  console.log(
    JSON.stringify({
      refusal: { status: refused.response?.status, code: refused.error?.code },
      request_id: created.response.headers.get("X-Request-Id"),
      posted: posted.counts,
      failed_rows: rows.map((row) => [row.row, row.code]),
      report: report.data,
      redirected: redirected.data,
      stored: stored.ok,
      uploaded: uploaded.counts,
      listed: list.data.data.data.map((entry) => entry.id).sort(),
      ids: [posted.id, uploaded.id, bad.id].sort(),
    }),
  );
};

main();
