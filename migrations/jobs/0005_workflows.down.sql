DROP TABLE uaol_jobs.workflow_versions;
DROP TABLE uaol_jobs.workflows;
